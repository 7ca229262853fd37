package org.edgewise.app.bench;

/** Hears how far a run is; called by the thread that works. */
public interface Progress {
    /** Says what is being done, a string resource with its arguments, and how much of it. */
    void at(int done, int total, int text, Object... arguments);
}
