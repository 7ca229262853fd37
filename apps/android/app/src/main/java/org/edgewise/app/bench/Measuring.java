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
import org.json.JSONException;
import org.json.JSONObject;

/** The benchmark as the screens see it: begun, cancelled, how far it is, and the rows that are finished. */
public final class Measuring {
    public final Changes changes = new Changes();
    private final Session session;
    private final Context context;
    private final Folder folder;
    private final Bench bench;
    private volatile Thread thread;
    private volatile Progress progress = new Progress("", 0, 0);

    /** What is being done, or how it ended, and how much of it. */
    public record Progress(String says, int done, int total) {}

    public Measuring(Context context, Session session, Engines engines, Front front) {
        this.session = session;
        this.context = context;
        folder = new Folder(new File(context.getFilesDir(), "bench"));
        bench = new Bench(session::artifact, this::evaluation, engines, folder, front, new Phone(context), context.getResources(), this::at);
    }

    /** Begins to measure; where a run was killed before, that one is finished. */
    public void begin(Plan plan) {
        if (running()) return;
        session.hold(true);
        session.rest();
        progress = new Progress(context.getString(R.string.bench_begins), 0, 0);
        Plan unfinished = folder.plan();
        thread = Engines.thread("benchmark", () -> run(unfinished == null ? plan : unfinished));
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

    public Progress progress() {
        return progress;
    }

    public List<JSONObject> rows() {
        return folder.rows();
    }

    private void run(Plan plan) {
        String end;
        try {
            bench.run(plan);
            end = context.getString(R.string.bench_done);
        } catch (InterruptedException cancelled) {
            folder.end();
            end = context.getString(R.string.bench_cancelled);
        } catch (IOException error) {
            end = context.getString(R.string.bench_no_room, Refused.firstLine(error));
        } catch (OutOfMemoryError error) {
            folder.end();
            end = context.getString(R.string.out_of_memory, context.getString(R.string.bench_title));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
        progress = new Progress(end, 0, 0);
        thread = null;
        new Handler(Looper.getMainLooper()).post(() -> session.hold(false));
        changes.tell();
    }

    private void at(int done, int total, int text, Object... arguments) {
        progress = new Progress(context.getString(text, arguments), done, total);
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
