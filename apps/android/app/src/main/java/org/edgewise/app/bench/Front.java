package org.edgewise.app.bench;

/** Whether the app is in front: Android slows down or stops what nobody sees, and then nothing that was timed counts. */
public final class Front {
    private int shown;
    private long left;

    public synchronized void shown() {
        shown++;
        notifyAll();
    }

    public synchronized void hidden() {
        shown = Math.max(0, shown - 1);
        if (shown == 0) left++;
    }

    public synchronized boolean is() {
        return shown > 0;
    }

    /** Returns how often the app was put away so far. */
    public synchronized long left() {
        return left;
    }

    /** Waits until the app is in front; raises InterruptedException where the waiting is cancelled. */
    public synchronized void await() throws InterruptedException {
        while (shown == 0) wait();
    }
}
