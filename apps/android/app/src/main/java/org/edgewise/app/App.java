package org.edgewise.app;

import android.app.Application;
import org.edgewise.app.bench.Front;
import org.edgewise.app.bench.Measuring;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.store.Library;
import org.edgewise.app.work.Session;

/** What lives as long as the app's process does, whatever becomes of its screens. */
public final class App extends Application {
    public final Front front = new Front();
    private Engines engines;
    private Library library;
    private Session session;
    private Measuring measuring;

    public synchronized Engines engines() {
        if (engines == null) engines = Engines.here(this);
        return engines;
    }

    public synchronized Library library() {
        if (library == null) library = new Library(this, "artifacts");
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
}
