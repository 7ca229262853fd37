package org.edgewise.app;

import static org.junit.Assert.*;

import android.content.Intent;
import android.widget.TextView;
import java.io.File;
import java.nio.file.Files;
import org.edgewise.app.ui.RunActivity;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.Robolectric;
import org.robolectric.android.controller.ActivityController;

/** What a computer asks for over adb, through files and an explicit intent. */
public class JobTest extends AppCase {
    private static final String ID = "torch_cnn_small-onnx-int8";

    private File root() {
        return app().getExternalFilesDir(null);
    }

    private void put(String file, byte[] content) throws Exception {
        File target = new File(root(), file);
        target.getParentFile().mkdirs();
        Files.write(target.toPath(), content);
    }

    private byte[] asset(String name) throws Exception {
        return app().getAssets().open(name).readAllBytes();
    }

    /** Opens the window that a computer starts for a job. */
    private ActivityController<RunActivity> window(String job) {
        Intent intent = new Intent(app(), RunActivity.class).putExtra("job", job);
        return Robolectric.buildActivity(RunActivity.class, intent).setup();
    }

    private JSONObject read(File result) throws Exception {
        return new JSONObject(new String(Files.readAllBytes(result.toPath())));
    }

    private JSONObject run(byte[] artifact, JSONObject sidecar, JSONObject evaluation) throws Exception {
        File result = new File(root(), "results/1-a.json");
        result.delete();
        put("jobs/1-a/artifact", artifact);
        put("jobs/1-a/sidecar.json", sidecar.toString().getBytes());
        put("jobs/1-a/job.json", new JSONObject().put("evaluation", "digits").put("images", 20).put("latency_s", 1.0).put("samples", 7)
                .put("threads", 1).put("accelerator", "default").toString().getBytes());
        put("evaluation/digits.json", evaluation.toString().getBytes());
        put("evaluation/digits.bin", asset("evaluation/torch_cnn_small.bin"));
        try (ActivityController<RunActivity> window = window("1-a")) {
            await("the result is written", result::exists);
            return read(result);
        }
    }

    private byte[] model() throws Exception {
        return asset("artifacts/" + ID + ".onnx");
    }

    private JSONObject sidecar() throws Exception {
        return new JSONObject(new String(asset("artifacts/" + ID + ".json")));
    }

    private JSONObject evaluation() throws Exception {
        return new JSONObject(new String(asset("evaluation/torch_cnn_small.json")));
    }

    @Test
    public void aJobBecomesARow() throws Exception {
        JSONObject row = run(model(), sidecar(), evaluation());
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(7, row.getJSONArray("latencies_ns").length());
        assertEquals(20, row.getInt("total"));
        assertTrue(new File(root(), "ready").exists());
        assertEquals("running", read(new File(root(), "results/1-a.progress")).getString("state"));
        assertTrue(row.getJSONObject("environment").getString("ran").matches("CPU \\d+ nodes"));
    }

    private static void assertFailed(String outcome, String reason, JSONObject row) throws Exception {
        assertEquals(row.toString(), outcome, row.getString("outcome"));
        assertContains(reason, row.getString("reason"));
    }

    @Test
    public void whatCannotBeMeasuredIsARowWithItsReason() throws Exception {
        byte[] damaged = model();
        damaged[100] ^= 1;
        assertFailed("load_failed", "damaged, or of another export", run(damaged, sidecar(), evaluation()));
        assertFailed("load_failed", "no sidecar", run(new byte[] {1}, new JSONObject(), evaluation()));
        JSONObject other = sidecar().put("file", ID + ".mlmodel");
        assertFailed("unsupported", "No engine of this app takes .mlmodel files.", run(new byte[] {1}, other, evaluation()));
        JSONObject undated = evaluation(); // which does not say which images they are
        undated.remove("dataset_sha256");
        assertFailed("run_failed", "do not fit their description", run(model(), sidecar(), undated));
    }

    @Test
    public void twoThingsAreNeverTimedAtOnce() throws Exception {
        start();
        measureWithoutEnd(ID);
        try (ActivityController<RunActivity> window = window("2-b")) {
            assertEquals("failed", read(new File(root(), "results/2-b.progress")).getString("state"));
        }
        cancel();
    }

    @Test
    public void aPhoneThatCannotWriteSaysSoInItsWindow() {
        new File(root(), "ready/in the way").mkdirs();
        try (ActivityController<RunActivity> window = window("3-c")) {
            String sentence = ((TextView) window.get().findViewById(R.id.run_status)).getText().toString();
            assertTrue(sentence, sentence.startsWith("Nothing could be written: "));
        }
    }
}
