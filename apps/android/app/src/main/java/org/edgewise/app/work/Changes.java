package org.edgewise.app.work;

import android.os.Handler;
import android.os.Looper;
import java.util.LinkedHashSet;
import java.util.Set;

/** Tells screens on the main thread that something changed, once however often it did. */
public final class Changes {
    private final Handler main = new Handler(Looper.getMainLooper());
    private final Set<Runnable> listeners = new LinkedHashSet<>(); // used on the main thread only
    private boolean posted;

    public void listen(Runnable listener) {
        listeners.add(listener);
    }

    public void forget(Runnable listener) {
        listeners.remove(listener);
    }

    /** May be called by any thread. */
    public synchronized void tell() {
        if (posted) return;
        posted = true;
        main.post(this::pass);
    }

    private void pass() {
        synchronized (this) {
            posted = false;
        }
        for (Runnable listener : new LinkedHashSet<>(listeners)) listener.run();
    }
}
