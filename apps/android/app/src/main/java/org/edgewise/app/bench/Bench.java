package org.edgewise.app.bench;

import android.content.res.Resources;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgewise.app.R;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.model.Picture;
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
        if (folder.plan() == null) folder.begin(plan);
        else giveUp(plan, folder.endedTwice());
        String[] before = conditions();
        Map<String, Running> loaded = new LinkedHashMap<>();
        try {
            for (String id : plan.ids()) {
                if (folder.has(id)) continue;
                folder.trying(id);
                load(id, plan, loaded);
            }
            folder.trying("");
            time(plan, loaded);
            for (Map.Entry<String, Running> one : loaded.entrySet()) {
                folder.trying(one.getKey());
                folder.row(one.getKey(), judged(plan, one.getValue(), before).json());
            }
        } finally {
            for (Running running : loaded.values()) running.close();
        }
        folder.end();
    }

    /** Writes a failed row for what ended the app twice, an id, "" for all of the plan, null for nothing. */
    private void giveUp(Plan plan, String ended) throws IOException, JSONException {
        if (ended == null) return;
        for (String id : plan.ids()) {
            if (folder.has(id) || !(ended.isEmpty() || ended.equals(id))) continue;
            try {
                Artifact artifact = artifacts.of(id);
                Row row = Row.begin(artifact.sidecar(), engines.of(artifact.sidecar()).id(), engines, plan.settings(), phone);
                folder.row(id, row.failed("run_failed", resources.getString(R.string.bench_ended)).json());
            } catch (Refused refused) {
                continue; // it was removed since, or has no engine
            }
        }
    }

    private String[] conditions() {
        return new String[] {phone.thermal(), phone.battery()};
    }

    private void load(String id, Plan plan, Map<String, Running> loaded) throws IOException, JSONException, InterruptedException {
        front.await();
        Artifact artifact;
        String runtime;
        try {
            artifact = artifacts.of(id);
            runtime = engines.of(artifact.sidecar()).id();
        } catch (Refused refused) {
            return; // it was removed since, or has no engine: there is no such cell
        }
        try {
            loaded.put(id, Running.load(artifact, engines, plan.settings()));
        } catch (Refused refused) {
            Row row = Row.begin(artifact.sidecar(), runtime, engines, plan.settings(), phone);
            folder.row(id, row.failed("load_failed", refused.sentence(resources)).json());
        }
    }

    private void time(Plan plan, Map<String, Running> loaded) throws IOException, JSONException, InterruptedException {
        List<Running> untimed = new ArrayList<>();
        List<Picture> pictures = new ArrayList<>();
        for (Map.Entry<String, Running> one : loaded.entrySet()) {
            if (folder.timed(one.getKey()) != null) continue;
            untimed.add(one.getValue());
            pictures.add(picture(one.getValue()));
        }
        if (plan.rounds() == 0 || untimed.isEmpty()) return;
        List<Timed> timed = new Rounds(resources, front, progress).time(untimed, pictures, plan.rounds(), plan.limitNs());
        for (int i = 0; i < timed.size(); i++) folder.timed(untimed.get(i).sidecar().id, timed.get(i));
    }

    private static Picture picture(Running running) {
        if (!running.sidecar().golden.isEmpty()) return running.sidecar().golden.get(0).picture();
        return Picture.of(running.sidecar().size, new byte[running.sidecar().size.count()]);
    }

    private Row judged(Plan plan, Running running, String[] before) throws JSONException, InterruptedException {
        Row row = Row.begin(running.sidecar(), running.engine().id(), engines, plan.settings(), phone);
        try {
            Timed timed = folder.timed(running.sidecar().id);
            if (timed == null) timed = new Timed(new long[0], List.of(), "");
            if (!timed.problem().isEmpty()) return row.failed("run_failed", timed.problem());
            Check.Checked checked = Check.run(running);
            if (checked.state() == Check.State.DIFFERENT) {
                row.note(resources.getString(R.string.note_check, checked.wrong().sentence(resources)));
            }
            Evaluation evaluation = images.of(artifacts.of(running.sidecar().id));
            Judged judged = evaluation == null ? null : Judged.run(running, evaluation, plan.images(), front, progress);
            if (judged == null) row.note(resources.getString(R.string.note_no_images));
            row.measured(running, timed, judged, checked.firstNs(), running.ran());
        } catch (Refused refused) {
            return row.failed("run_failed", refused.sentence(resources));
        } catch (IOException error) {
            return row.failed("run_failed", resources.getString(R.string.cannot_read, Refused.firstLine(error)));
        }
        return row.conditions(before, conditions(), resources.getString(R.string.note_throttled));
    }

    /** Returns the ids of a library that this build has an engine for. */
    public static List<String> runnable(Iterable<Artifact> artifacts, Engines engines) {
        List<String> ids = new ArrayList<>();
        for (Artifact artifact : artifacts) {
            try {
                engines.of(artifact.sidecar());
                ids.add(artifact.id());
            } catch (Refused refused) {
                continue;
            }
        }
        return ids;
    }
}
