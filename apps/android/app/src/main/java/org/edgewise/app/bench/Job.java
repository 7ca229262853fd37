package org.edgewise.app.bench;

import android.content.Context;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.engine.Accelerator;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.store.Evaluation;
import org.edgewise.app.store.Texts;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * What a computer asks for over adb: one artifact, measured as in the matrix.
 *
 * <p>The computer puts `jobs/NAME/{job.json,sidecar.json,artifact}` and `evaluation/NAME.{json,bin}` into this app's folder of
 * shared storage, and reads `results/NAME.progress` and at last `results/NAME.json`, which this app writes.
 */
public record Job(String name, File root, Context context, Engines engines, Front front) {
    /** Makes the folders, which must be this app's own, and tells the computer that they are there. */
    public static void prepare(Context context) throws IOException {
        File root = context.getExternalFilesDir(null);
        if (root == null) throw new IOException("shared storage is not there");
        for (String folder : new String[] {"jobs", "evaluation", "results"}) new File(root, folder).mkdirs();
        Texts.write(new File(root, "ready"), "ready\n");
    }

    /** Does what was asked for, and writes the result whatever happens. */
    public void run() {
        try {
            Texts.write(result("json"), measured().toString());
        } catch (IOException error) {
            tell("failed", Refused.firstLine(error), 0, 0);
        } catch (InterruptedException error) {
            tell("cancelled", "", 0, 0);
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    private JSONObject measured() throws JSONException, InterruptedException, IOException {
        try {
            File job = new File(root, "jobs/" + name);
            JSONObject request = new JSONObject(Texts.read(new File(job, "job.json")));
            Sidecar sidecar = Sidecar.parse(Texts.read(new File(job, "sidecar.json")));
            Artifact artifact = new Artifact(sidecar, () -> new FileInputStream(new File(job, "artifact")), false, context.getCacheDir());
            return measured(request, artifact);
        } catch (Refused refused) {
            return failure("load_failed", refused.sentence(context.getResources()));
        } catch (OutOfMemoryError error) {
            return failure("run_failed", context.getString(R.string.out_of_memory, name));
        }
    }

    private JSONObject measured(JSONObject request, Artifact artifact) throws JSONException, InterruptedException, IOException, Refused {
        try {
            engines.of(artifact.sidecar());
        } catch (Refused refused) {
            return failure("unsupported", refused.sentence(context.getResources()));
        }
        forgetOthers();
        Folder folder = new Folder(new File(context.getFilesDir(), "job-" + name));
        Settings settings = new Settings(request.getInt("threads"), Accelerator.of(request.getString("accelerator")));
        double seconds = request.getDouble("latency_s");
        int rounds = seconds > 0 ? request.getInt("samples") : 0;
        Plan plan = new Plan(List.of(artifact.id()), settings, rounds, (long) (seconds * 1e9), request.getInt("images"));
        String evaluation = root + "/evaluation/" + request.getString("evaluation");
        Bench.Images images = same -> Evaluation.read(new FileInputStream(evaluation + ".json"), new FileInputStream(evaluation + ".bin"));
        new Bench(id -> artifact, images, engines, folder, front, new Phone(context), context.getResources(), this::at).run(plan);
        List<JSONObject> rows = folder.rows();
        artifact.file().delete();
        folder.begin(plan); // nothing of this job is kept here
        folder.end();
        return rows.isEmpty() ? failure("run_failed", context.getString(R.string.artifact_gone, artifact.id())) : rows.get(0);
    }

    /** Removes what jobs left behind that were killed. */
    private void forgetOthers() {
        for (File folder : Texts.list(context.getFilesDir(), "job-.*")) {
            for (File file : Texts.list(folder, ".*")) file.delete();
            folder.delete();
        }
    }

    private static JSONObject failure(String outcome, String reason) throws JSONException {
        return new JSONObject().put("outcome", outcome).put("reason", reason);
    }

    private void at(int done, int total, int text, Object... arguments) {
        tell("running", context.getString(text, arguments), done, total);
    }

    public void tell(String state, String text, int done, int total) {
        try {
            JSONObject progress = new JSONObject().put("state", state).put("says", text).put("done", done).put("total", total);
            Texts.write(result("progress"), progress.toString());
        } catch (IOException | JSONException error) {
            // the computer sees that nothing comes any more
        }
    }

    private File result(String suffix) {
        return new File(root, "results/" + name + "." + suffix);
    }
}
