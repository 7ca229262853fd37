package org.edgewise.app;

import static org.junit.Assert.*;

import android.widget.EditText;
import android.widget.Spinner;
import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import org.edgewise.app.bench.Folder;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.annotation.Config;

/** Times, evaluation images, progress, cancelling, rotation, being put away and killed, and the file that leaves. */
public class BenchmarkTest extends AppCase {
    private static final int ROUNDS = 12;
    private static final String[] ALL = {
        ONNX, "torch_cnn_small-tflite-int8", "torch_cnn_small-tflite-int8_io", "torch_cnn_small-executorch-float32"
    };

    @Test
    @Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
    public void everyFormatIsMeasuredJudgedAndShared() throws Exception {
        start();
        press(R.id.tab_benchmark);
        shoot("benchmark-before");
        String build = text(R.id.build);
        assertContains("executorch engine.aar, SHA-256 0123456789ab: 1.4 MB of this app", build);
        assertContains("litert 1: 1.4 MB of this app; does not load on phones with 16 kB pages (liblitert.so)", build);
        assertEquals("Nothing was measured yet.", text(R.id.bench_status));
        measure(ROUNDS, ALL);
        idle();
        shoot("benchmark-running");
        awaitEnd();
        shoot("benchmark");
        List<JSONObject> rows = app().measuring().rows();
        assertEquals(ALL.length, rows.size());
        for (JSONObject row : rows) {
            assertEquals(row.toString(), "ok", row.getString("outcome"));
            assertEquals(ROUNDS, row.getJSONArray("latencies_ns").length());
            assertEquals(row.getInt("total"), row.getInt("agree"), 2);
        }
        JSONObject environment = rows.get(0).getJSONObject("environment");
        for (String fact : new String[] {"cpu", "device", "thermal_status", "battery", "ran", "engine_bytes", "page_bytes"}) {
            assertTrue(fact, environment.has(fact));
        }
        assertEquals("engine.aar, SHA-256 0123456789ab", environment.getJSONObject("runtime").getString("tests:executorch"));
        share();
    }

    private void share() throws Exception {
        EditText name = find(R.id.device);
        name.setText("Not A Name!");
        press(R.id.share);
        assertNotNull(name.getError());
        name.setText("robolectric");
        byte[] content = shared();
        JSONArray shared = new JSONArray(new String(content));
        assertEquals(ALL.length, shared.length());
        assertEquals("app:robolectric", shared.getJSONObject(0).getString("device"));
        Files.write(new File(System.getProperty("edgewise.exported"), "exported.json").toPath(), content);
    }

    @Test
    public void aRunSurvivesARotationAndCanBeCancelled() {
        start();
        press(R.id.tab_benchmark);
        measure(1_000_000, ONNX);
        await("rounds are counted", () -> app().measuring().progress().says().startsWith("Round"));
        RuntimeEnvironment.setQualifiers("w891dp-h411dp-land-xhdpi");
        controller.recreate();
        idle();
        assertTrue(app().measuring().running());
        await("it goes on after the rotation", () -> text(R.id.bench_status).startsWith("Round"));
        shoot("benchmark-rotated");
        assertEquals("Cancel", text(R.id.measure));
        press(R.id.measure);
        awaitEnd();
        assertEquals("Cancelled. What was finished is below.", text(R.id.bench_status));
        assertEquals("Benchmark", text(R.id.measure));
    }

    @Test
    public void whatIsDrawnWhileTimesAreTakenIsAnsweredAfterwards() {
        start();
        measureWithoutEnd(ONNX);
        drawSeven();
        assertEquals("A benchmark is running: what is shown now is answered after it.", text(R.id.verdict));
        assertEquals(null, app().session().status(ONNX).answer);
        cancel();
        await("it is answered", () -> app().session().status(ONNX).answer != null);
        await("everything is", () -> text(R.id.verdict).equals("All 6 answer 7."));
    }

    /** Tells whether the benchmark's thread waits for the app to be in front. */
    private static boolean waits() {
        return Thread.getAllStackTraces().keySet().stream()
                .anyMatch(thread -> thread.getName().equals("benchmark") && thread.getState() == Thread.State.WAITING);
    }

    @Test
    public void nothingIsTimedWhileTheAppIsPutAway() throws Exception {
        start();
        measureWithoutEnd(ONNX);
        controller.pause();
        await("the round that was going on ends", BenchmarkTest::waits);
        int before = app().measuring().progress().done();
        Thread.sleep(200);
        idle();
        assertTrue(waits());
        assertEquals(before, app().measuring().progress().done());
        controller.resume();
        await("it goes on", () -> app().measuring().progress().done() > before);
        cancel();
    }

    /** Returns the folder of a run that was killed right after it began. */
    private File killed() throws IOException {
        File folder = new File(app().getFilesDir(), "bench");
        folder.mkdirs();
        String plan = "{\"ids\":[\"" + ONNX + "\",\"torch_cnn_small-onnx-int8\"],\"threads\":1,\"accelerator\":\"default\",\"rounds\":3,"
                + "\"limit_ns\":60000000000,\"images\":5}";
        Files.write(new File(folder, "plan.json").toPath(), plan.getBytes());
        return folder;
    }

    @Test
    public void aRunThatWasKilledIsFinishedAtTheNextStart() throws Exception {
        File folder = killed();
        JSONObject finished = new JSONObject().put("artifact", ONNX).put("runtime", "onnxruntime").put("outcome", "ok").put("suffix", "");
        Files.write(new File(folder, "row-" + ONNX + ".json").toPath(), finished.toString().getBytes());
        start();
        awaitEnd();
        List<JSONObject> rows = app().measuring().rows();
        assertEquals(2, rows.size());
        assertFalse("the finished row was measured again", rows.get(0).has("latencies_ns"));
        assertEquals(5, rows.get(1).getInt("total"));
        assertEquals(null, new Folder(folder).plan());
    }

    @Test
    public void whatEndedTheAppTwiceIsNotTriedForEver() throws Exception {
        File folder = killed();
        Files.write(new File(folder, "trying.json").toPath(), ("{\"id\":\"" + ONNX + "\"}").getBytes());
        Files.write(new File(folder, "ended-" + ONNX + ".json").toPath(), "{}".getBytes());
        start();
        awaitEnd();
        List<JSONObject> rows = app().measuring().rows();
        assertEquals("run_failed", rows.get(0).getString("outcome"));
        assertTrue(rows.get(0).getString("reason").startsWith("the app ended twice"));
        assertEquals("ok", rows.get(1).getString("outcome"));
    }

    @Test
    @Config(qualifiers = "w411dp-h891dp-port-night-xhdpi")
    public void atNightAndWithLargeFonts() {
        RuntimeEnvironment.setFontScale(2);
        start();
        press(R.id.tab_benchmark);
        shoot("benchmark-night-large-fonts");
        measure(ROUNDS, ONNX);
        awaitEnd();
        scrollTo(find(R.id.share));
        shoot("benchmark-night-large-fonts-row");
        press(R.id.tab_check);
        shoot("check-night-large-fonts");
        assertEquals("1 thread", ((Spinner) find(R.id.threads)).getSelectedItem().toString());
    }
}
