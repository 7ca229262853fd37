package org.edgewise.app.ui;

import android.content.Intent;
import android.os.Bundle;
import android.view.View;

/** One of the app's screens; made anew with each activity, while what it shows lives in the app's process. */
interface Screen {
    View view();

    /** Begins to show what is known, and to hear of changes. */
    void start();

    void stop();

    /** Keeps what only this screen knows, for when the process was killed. */
    default void save(Bundle state) {}

    default void restore(Bundle state) {}

    /** Takes what another app gave; `request` is one of Requests. */
    default void result(int request, Intent data) {}
}
