package org.edgewise.app.work;

import android.os.Handler;
import android.os.Looper;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArraySet;

/** Tells screens on the main thread that something changed, once however often it did. */
public final class Changes {
    private final Set<Runnable> listeners = new CopyOnWriteArraySet<>();
    private final Handler main = new Handler(Looper.getMainLooper(), message -> {
        listeners.forEach(Runnable::run);
        return true;
    });

    public void listen(Runnable listener) {
        listeners.add(listener);
    }

    public void forget(Runnable listener) {
        listeners.remove(listener);
    }

    /** May be called by any thread. */
    public void tell() {
        if (!main.hasMessages(0)) main.sendEmptyMessage(0);
    }
}
