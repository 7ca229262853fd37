package androidx.test.runner.lifecycle;

/** Stands in for the class of this name, which only Google's repository has; as much of it as Robolectric calls. */
public enum Stage {
    PRE_ON_CREATE, CREATED, STARTED, RESUMED, PAUSED, STOPPED, RESTARTED, DESTROYED
}
