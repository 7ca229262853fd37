package org.edgewise.app.bench;

import android.content.res.Resources;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.store.Evaluation;
import org.edgewise.app.work.Check;
import org.edgewise.app.work.Running;
import org.json.JSONException;

/** Measures the artifacts of a plan: times all of them in interleaved rounds, then lets each answer evaluation images. */
public record Bench(
        Artifacts artifacts, Images images, Engines engines, Folder folder, Front front, Phone phone, Resources resources,
        Progress progress) {
    /** Finds what a plan's id stands for. */
    public interface Artifacts {
        Artifact of(String id) throws Refused;
    }

    /** Reads the evaluation images of an artifact's model; null where there are none. */
    public interface Images {
        Evaluation of(Artifact artifact) throws IOException, Refused;
    }

    /** Hears what is being done, a string resource with its arguments, and how much of it, from the thread that works. */
    public interface Progress {
        void at(int done, int total, int text, Object... arguments);
    }

    /** Does what of a plan is not done yet. Raises IOException where the phone has no room, InterruptedException when cancelled. */
    public void run(Plan plan) throws IOException, JSONException, InterruptedException {
        String ended = null; // the app twice
        if (folder.plan() == null) folder.begin(plan);
        else ended = folder.endedTwice();
        String[] before = conditions();
        List<Running> loaded = new ArrayList<>();
        try {
            for (String id : plan.ids()) {
                if (folder.has(id)) continue;
                folder.trying(id);
                load(id, plan, id.equals(ended) || "".equals(ended), loaded);
            }
            folder.trying("");
            time(plan, loaded);
            for (Running running : loaded) {
                folder.trying(running.sidecar().id);
                folder.row(running.sidecar().id, judged(plan, running, before).json());
            }
        } finally {
            for (Running running : loaded) running.close();
        }
        folder.end();
    }

    private String[] conditions() {
        return new String[] {phone.thermal(), phone.battery()};
    }

    /** Adds an artifact to those that are loaded; writes a failed row where that fails, or where it is given up. */
    private void load(String id, Plan plan, boolean isGivenUp, List<Running> loaded) throws IOException, JSONException, InterruptedException {
        if (!isGivenUp) front.await();
        Artifact artifact;
        Row row;
        try {
            artifact = artifacts.of(id);
            row = new Row(artifact.sidecar(), engines.of(artifact.sidecar()).id(), engines, plan.settings(), phone);
        } catch (Refused refused) {
            return; // it was removed since, or has no engine: there is no such cell
        }
        if (isGivenUp) {
            folder.row(id, row.failed("run_failed", resources.getString(R.string.bench_ended)).json());
            return;
        }
        try {
            loaded.add(Running.load(artifact, engines, plan.settings()));
        } catch (Refused refused) {
            folder.row(id, row.failed("load_failed", refused.sentence(resources)).json());
        }
    }

    private void time(Plan plan, List<Running> loaded) throws IOException, JSONException, InterruptedException {
        List<Running> untimed = new ArrayList<>(loaded);
        untimed.removeIf(running -> folder.timed(running.sidecar().id) != null);
        if (plan.rounds() == 0 || untimed.isEmpty()) return;
        List<Rounds.Timed> timed = new Rounds(resources, front, progress).time(untimed, plan.rounds(), plan.limitNs());
        for (int i = 0; i < timed.size(); i++) folder.timed(untimed.get(i).sidecar().id, timed.get(i));
    }

    private Row judged(Plan plan, Running running, String[] before) throws JSONException, InterruptedException {
        Row row = new Row(running.sidecar(), running.engine().id(), engines, plan.settings(), phone);
        try {
            Rounds.Timed timed = folder.timed(running.sidecar().id);
            if (timed == null) timed = new Rounds.Timed(new long[0], "");
            if (!timed.problem().isEmpty()) return row.failed("run_failed", timed.problem());
            Check.Checked checked = Check.run(running);
            if (checked.state() == Check.State.DIFFERENT) {
                row.note(resources.getString(R.string.note_check, checked.wrong().sentence(resources)));
            }
            Evaluation evaluation = images.of(artifacts.of(running.sidecar().id));
            Judged judged = evaluation == null ? null : Judged.run(running, evaluation, plan.images(), front, progress);
            if (judged == null) row.note(resources.getString(R.string.note_no_images));
            int samples = timed.samplesNs().length;
            if (samples < plan.rounds()) row.note(resources.getString(R.string.note_samples, samples, plan.limitNs() / 1_000_000_000L, plan.rounds()));
            row.measured(running, timed, judged, checked.firstNs(), running.ran());
        } catch (Refused refused) {
            return row.failed("run_failed", refused.sentence(resources));
        } catch (IOException error) {
            return row.failed("run_failed", resources.getString(R.string.cannot_read, Refused.firstLine(error)));
        }
        return row.conditions(before, conditions(), resources.getString(R.string.note_throttled));
    }
}
