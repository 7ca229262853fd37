package org.edgewise.app.ui;

import android.app.Activity;
import android.view.LayoutInflater;
import android.view.View;
import android.view.ViewGroup;
import org.edgewise.app.App;
import org.edgewise.app.work.Changes;
import org.edgewise.app.work.Session;

/** A screen of a layout that shows what the session knows, again after each change. */
abstract class SessionScreen implements Screen {
    final Activity activity;
    final App app;
    final Session session;
    final View view;
    private final Changes[] sources;
    private final Runnable changed = this::show;

    /** `also` are changes beside the session's. */
    SessionScreen(Activity activity, ViewGroup parent, App app, int layout, Changes... also) {
        this.activity = activity;
        this.app = app;
        this.session = app.session();
        view = LayoutInflater.from(activity).inflate(layout, parent, false);
        sources = new Changes[also.length + 1];
        sources[0] = session.changes;
        System.arraycopy(also, 0, sources, 1, also.length);
    }

    @Override
    public final View view() {
        return view;
    }

    @Override
    public final void start() {
        for (Changes changes : sources) changes.listen(changed);
        show();
    }

    @Override
    public final void stop() {
        for (Changes changes : sources) changes.forget(changed);
    }

    /** Shows what is known now. */
    abstract void show();
}
