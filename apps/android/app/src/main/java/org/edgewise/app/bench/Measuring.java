package org.edgewise.app.bench;

import android.content.Context;
import android.os.Handler;
import android.os.Looper;
import java.io.File;
import java.io.IOException;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.store.Evaluation;
import org.edgewise.app.work.Changes;
import org.edgewise.app.work.Session;
import org.edgewise.app.work.Threads;
import org.json.JSONException;
import org.json.JSONObject;

/** The benchmark as the screens see it: begun, cancelled, how far it is, and the rows that are finished. */
public final class Measuring {
    public final Changes changes = new Changes();
    private final Session session;
    private final Engines engines;
    private final Front front;
    private final Phone phone;
    private final Context context;
    private final Folder folder;
    private volatile Thread thread;
    private volatile String status = "";
    private volatile int done;
    private volatile int total;

    public Measuring(Context context, Session session, Engines engines, Front front) {
        this.session = session;
        this.engines = engines;
        this.front = front;
        this.phone = new Phone(context);
        this.context = context;
        this.folder = new Folder(new File(context.getFilesDir(), "bench"));
    }

    /** Begins to measure; where a run was killed before, that one is finished. */
    public void begin(Plan plan) {
        if (running()) return;
        session.hold(true);
        session.rest();
        status = context.getString(R.string.bench_begins);
        Plan unfinished = folder.plan();
        thread = Threads.make("benchmark", () -> run(unfinished == null ? plan : unfinished));
        thread.start();
        changes.tell();
    }

    /** Goes on with a run that was killed; tells whether there was one. */
    public boolean resume() {
        Plan plan = folder.plan();
        if (plan == null || running()) return false;
        begin(plan);
        return true;
    }

    public boolean running() {
        return thread != null && thread.isAlive();
    }

    /** Ends the run; finished rows stay. */
    public void cancel() {
        if (running()) thread.interrupt();
    }

    /** Returns what is being done, or how it ended. */
    public String status() {
        return status;
    }

    public int done() {
        return done;
    }

    public int total() {
        return total;
    }

    public List<JSONObject> rows() {
        return folder.rows();
    }

    public Phone phone() {
        return phone;
    }

    private void run(Plan plan) {
        Bench bench = new Bench(session::artifact, this::evaluation, engines, folder, front, phone, context.getResources(), this::at);
        try {
            bench.run(plan);
            status = context.getString(R.string.bench_done);
        } catch (InterruptedException cancelled) {
            folder.end();
            status = context.getString(R.string.bench_cancelled);
        } catch (IOException error) {
            status = context.getString(R.string.bench_no_room, Refused.firstLine(error));
        } catch (OutOfMemoryError error) {
            folder.end();
            status = context.getString(R.string.out_of_memory, context.getString(R.string.bench_title));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
        done = total = 0;
        thread = null;
        new Handler(Looper.getMainLooper()).post(() -> session.hold(false));
        changes.tell();
    }

    private void at(int now, int of, int text, Object... arguments) {
        done = now;
        total = of;
        status = context.getString(text, arguments);
        changes.tell();
    }

    /** Returns evaluation images that were packed with the app; null where there are none. */
    private Evaluation evaluation(Artifact artifact) throws Refused {
        String name = "evaluation/" + artifact.sidecar().model;
        try {
            return Evaluation.read(context.getAssets().open(name + ".json"), context.getAssets().open(name + ".bin"));
        } catch (IOException error) {
            return null;
        }
    }
}
