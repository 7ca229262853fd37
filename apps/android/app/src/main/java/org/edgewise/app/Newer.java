package org.edgewise.app;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** Marks a method that calls what only newer Androids have, once it has asked which one this is. */
@Retention(RetentionPolicy.CLASS)
@Target(ElementType.METHOD)
public @interface Newer {}
