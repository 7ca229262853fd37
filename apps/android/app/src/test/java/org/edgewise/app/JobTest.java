package org.edgewise.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.content.Intent;
import android.widget.TextView;
import java.io.File;
import java.nio.file.Files;
import java.util.List;
import org.edgewise.app.bench.Plan;
import org.edgewise.app.engine.Settings;
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

    private JSONObject run(byte[] artifact, byte[] sidecar) throws Exception {
        put("jobs/1-a/artifact", artifact);
        put("jobs/1-a/sidecar.json", sidecar);
        put("jobs/1-a/job.json", new JSONObject().put("evaluation", "digits").put("images", 20).put("latency_s", 1.0).put("samples", 7)
                .put("threads", 1).put("accelerator", "default").toString().getBytes());
        put("evaluation/digits.json", asset("evaluation/torch_cnn_small.json"));
        put("evaluation/digits.bin", asset("evaluation/torch_cnn_small.bin"));
        Intent intent = new Intent(app(), RunActivity.class).putExtra("job", "1-a");
        try (ActivityController<RunActivity> window = Robolectric.buildActivity(RunActivity.class, intent).setup()) {
            File result = new File(root(), "results/1-a.json");
            await("the result is written", result::exists);
            return new JSONObject(new String(Files.readAllBytes(result.toPath())));
        }
    }

    @Test
    public void aJobBecomesARow() throws Exception {
        JSONObject row = run(asset("artifacts/" + ID + ".onnx"), asset("artifacts/" + ID + ".json"));
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(7, row.getJSONArray("latencies_ns").length());
        assertEquals(20, row.getInt("total"));
        assertTrue(new File(root(), "ready").exists());
        String text = new String(Files.readAllBytes(new File(root(), "results/1-a.progress").toPath()));
        assertEquals("running", new JSONObject(text).getString("state"));
        assertTrue(row.getJSONObject("environment").getString("ran").matches("CPU \\d+ nodes"));
    }

    @Test
    public void aDamagedArtifactIsARowWithItsReason() throws Exception {
        byte[] damaged = asset("artifacts/" + ID + ".onnx");
        damaged[100] ^= 1;
        JSONObject row = run(damaged, asset("artifacts/" + ID + ".json"));
        assertEquals("load_failed", row.getString("outcome"));
        assertTrue(row.getString("reason"), row.getString("reason").contains("damaged, or of another export"));
    }

    @Test
    public void twoThingsAreNeverTimedAtOnce() throws Exception {
        start();
        app().measuring().begin(new Plan(List.of(ID), Settings.DEFAULT, 1_000_000, 600_000_000_000L, 0));
        await("rounds are counted", () -> app().measuring().done() > 0);
        Intent intent = new Intent(app(), RunActivity.class).putExtra("job", "2-b");
        try (ActivityController<RunActivity> window = Robolectric.buildActivity(RunActivity.class, intent).setup()) {
            File text = new File(root(), "results/2-b.progress");
            assertEquals("failed", new JSONObject(new String(Files.readAllBytes(text.toPath()))).getString("state"));
        }
        app().measuring().cancel();
        await("it is cancelled", () -> !app().measuring().running());
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
        Intent intent = new Intent(app(), RunActivity.class).putExtra("job", "3-c");
        try (ActivityController<RunActivity> window = Robolectric.buildActivity(RunActivity.class, intent).setup()) {
            String sentence = ((TextView) window.get().findViewById(R.id.run_status)).getText().toString();
            assertTrue(sentence, sentence.startsWith("Nothing could be written: "));
        }
    }

    @Test
    public void whatIsNoSidecarIsARowWithItsReason() throws Exception {
        JSONObject row = run(new byte[] {1}, "[]".getBytes());
        assertEquals("load_failed", row.getString("outcome"));
        assertTrue(row.getString("reason"), row.getString("reason").contains("no sidecar"));
    }
}
