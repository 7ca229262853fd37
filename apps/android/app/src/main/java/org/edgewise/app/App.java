package org.edgewise.app;

import android.app.Activity;
import android.app.Application;
import android.os.Bundle;
import org.edgewise.app.bench.Front;
import org.edgewise.app.bench.Measuring;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.store.Library;
import org.edgewise.app.work.Session;

/** What lives as long as the app's process does, whatever becomes of its screens. */
public final class App extends Application implements Application.ActivityLifecycleCallbacks {
    public final Front front = new Front();
    private Engines engines;
    private Library library;
    private Session session;
    private Measuring measuring;

    @Override
    public void onCreate() {
        super.onCreate();
        registerActivityLifecycleCallbacks(this);
    }

    public synchronized Engines engines() {
        if (engines == null) engines = new Engines(this);
        return engines;
    }

    public synchronized Library library() {
        if (library == null) library = new Library(this);
        return library;
    }

    public synchronized Session session() {
        if (session == null) session = new Session(library(), engines());
        return session;
    }

    public synchronized Measuring measuring() {
        if (measuring == null) measuring = new Measuring(this, session(), engines(), front);
        return measuring;
    }

    @Override
    public void onActivityResumed(Activity activity) {
        front.shown();
    }

    @Override
    public void onActivityPaused(Activity activity) {
        front.hidden();
    }

    @Override
    public void onActivityCreated(Activity activity, Bundle state) {}

    @Override
    public void onActivityStarted(Activity activity) {}

    @Override
    public void onActivityStopped(Activity activity) {}

    @Override
    public void onActivitySaveInstanceState(Activity activity, Bundle state) {}

    @Override
    public void onActivityDestroyed(Activity activity) {}
}
