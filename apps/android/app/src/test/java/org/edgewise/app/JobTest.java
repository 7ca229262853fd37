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

    private JSONObject run(byte[] artifact, byte[] sidecar) throws Exception {
        return run(artifact, sidecar, asset("evaluation/torch_cnn_small.json"));
    }

    private JSONObject run(byte[] artifact, byte[] sidecar, byte[] evaluation) throws Exception {
        put("jobs/1-a/artifact", artifact);
        put("jobs/1-a/sidecar.json", sidecar);
        put("jobs/1-a/job.json", new JSONObject().put("evaluation", "digits").put("images", 20).put("latency_s", 1.0).put("samples", 7)
                .put("threads", 1).put("accelerator", "default").toString().getBytes());
        put("evaluation/digits.json", evaluation);
        put("evaluation/digits.bin", asset("evaluation/torch_cnn_small.bin"));
        try (ActivityController<RunActivity> window = window("1-a")) {
            File result = new File(root(), "results/1-a.json");
            await("the result is written", result::exists);
            return read(result);
        }
    }

    @Test
    public void aJobBecomesARow() throws Exception {
        JSONObject row = run(asset("artifacts/" + ID + ".onnx"), asset("artifacts/" + ID + ".json"));
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(7, row.getJSONArray("latencies_ns").length());
        assertEquals(20, row.getInt("total"));
        assertTrue(new File(root(), "ready").exists());
        assertEquals("running", read(new File(root(), "results/1-a.progress")).getString("state"));
        assertTrue(row.getJSONObject("environment").getString("ran").matches("CPU \\d+ nodes"));
    }

    @Test
    public void aDamagedArtifactIsARowWithItsReason() throws Exception {
        byte[] damaged = asset("artifacts/" + ID + ".onnx");
        damaged[100] ^= 1;
        JSONObject row = run(damaged, asset("artifacts/" + ID + ".json"));
        assertEquals("load_failed", row.getString("outcome"));
        assertContains("damaged, or of another export", row.getString("reason"));
    }

    @Test
    public void evaluationImagesThatDoNotSayWhichTheyAreAreRefused() throws Exception {
        JSONObject described = new JSONObject(new String(asset("evaluation/torch_cnn_small.json")));
        described.remove("dataset_sha256");
        JSONObject row = run(asset("artifacts/" + ID + ".onnx"), asset("artifacts/" + ID + ".json"), described.toString().getBytes());
        assertEquals(row.toString(), "run_failed", row.getString("outcome"));
        assertContains("do not fit their description", row.getString("reason"));
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
    public void whatNoEngineTakesIsARowWithItsReason() throws Exception {
        JSONObject sidecar = new JSONObject(new String(asset("artifacts/" + ID + ".json")));
        sidecar.put("file", ID + ".mlmodel");
        JSONObject row = run(new byte[] {1}, sidecar.toString().getBytes());
        assertEquals("unsupported", row.getString("outcome"));
        assertEquals("No engine of this app takes .mlmodel files.", row.getString("reason"));
    }

    @Test
    public void aPhoneThatCannotWriteSaysSoInItsWindow() {
        new File(root(), "ready/in the way").mkdirs();
        try (ActivityController<RunActivity> window = window("3-c")) {
            String sentence = ((TextView) window.get().findViewById(R.id.run_status)).getText().toString();
            assertTrue(sentence, sentence.startsWith("Nothing could be written: "));
        }
    }

    @Test
    public void whatIsNoSidecarIsARowWithItsReason() throws Exception {
        JSONObject row = run(new byte[] {1}, "[]".getBytes());
        assertEquals("load_failed", row.getString("outcome"));
        assertContains("no sidecar", row.getString("reason"));
    }
}
