package org.edgewise.app.ui;

/** What other apps are asked for. */
final class Requests {
    static final int PICTURE = 1;
    static final int PHOTO = 2;
    static final int ARTIFACT = 3;

    private Requests() {}
}
