package org.edgewise.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertTrue;

import android.app.Activity;
import android.content.ClipData;
import android.content.Intent;
import android.net.Uri;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.work.Check;
import org.json.JSONException;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.Shadows;
import org.robolectric.annotation.Config;
import org.robolectric.shadows.ShadowActivity;

/** Golden vectors at one glance, and artifacts from the phone's files. */
public class CheckTest extends AppCase {
    private static final String OPENED = "torch_cnn_small-onnx-dynamic_int8";

    private void check() {
        touch(find(R.id.run_check), 0.5f, 0.5f);
        await("everything is checked", () -> !app().session().checking() && app().session().toCheck() > 0);
        idle();
    }

    @Test
    @Config(qualifiers = "w411dp-h1100dp-port-xhdpi")
    public void everyArtifactIsHeldAgainstItsGoldenVectors() {
        start();
        open(R.id.tab_check);
        assertEquals("Nothing was checked yet.", text(R.id.summary));
        check();
        shoot("check");
        int total = app().session().all().size();
        int good = 0;
        for (Artifact artifact : app().session().all()) {
            Check.State state = app().session().found(artifact.id()).checked.state();
            if (state == Check.State.EQUAL || state == Check.State.WITHIN) good++;
        }
        assertEquals(total, good);
        assertTrue(text(R.id.summary), text(R.id.summary).endsWith("0 different, 0 failed, 0 not checkable here"));
        String ran = app().session().found("torch_cnn_small-onnx-float32").ran;
        assertTrue(ran, ran.matches("CPU \\d+ nodes"));
    }

    private byte[] read(String name) {
        try {
            return Files.readAllBytes(new File(System.getProperty("edgewise.opened"), name).toPath());
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }

    /** Chooses files in the phone's file app: name, content, name, content, ... */
    private void choose(Object... files) {
        touch(find(R.id.open), 0.5f, 0.5f);
        ShadowActivity.IntentForResult asked = Shadows.shadowOf(activity()).getNextStartedActivityForResult();
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, asked.intent.getAction());
        ClipData chosen = null;
        for (int i = 0; i < files.length; i += 2) {
            Uri uri = Uri.parse("content://files/" + files[i]);
            byte[] content = (byte[]) files[i + 1];
            Shadows.shadowOf(app().getContentResolver()).registerInputStreamSupplier(uri, () -> new ByteArrayInputStream(content));
            if (chosen == null) chosen = ClipData.newRawUri("", uri);
            else chosen.addItem(new ClipData.Item(uri));
        }
        Intent result = new Intent();
        result.setClipData(chosen);
        Shadows.shadowOf(activity()).receiveResult(asked.intent, Activity.RESULT_OK, result);
        idle();
    }

    @Test
    @Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
    public void anArtifactIsOpenedFromFilesCheckedAndRemoved() {
        start();
        open(R.id.tab_check);
        choose(OPENED + ".json", read(OPENED + ".json"), OPENED + ".onnx", read(OPENED + ".onnx"));
        assertEquals(OPENED + " is here now.", text(R.id.open_says));
        check();
        shoot("check-opened");
        Check.State state = app().session().found(OPENED).checked.state();
        assertTrue(state == Check.State.EQUAL || state == Check.State.WITHIN);
        int before = app().session().all().size();
        app().library().remove(app().session().all().stream().filter(a -> a.id().equals(OPENED)).findFirst().orElseThrow());
        app().session().refresh();
        assertEquals(before - 1, app().session().all().size());
    }

    @Test
    public void aPersonWhoChangesTheirMindChangesNothing() {
        start();
        open(R.id.tab_check);
        touch(find(R.id.open), 0.5f, 0.5f);
        Intent asked = Shadows.shadowOf(activity()).getNextStartedActivityForResult().intent;
        Shadows.shadowOf(activity()).receiveResult(asked, Activity.RESULT_CANCELED, null);
        idle();
        assertEquals("", text(R.id.open_says));
    }

    private void refuses(String says, Object... files) {
        int before = app().session().all().size();
        choose(files);
        assertTrue(text(R.id.open_says), text(R.id.open_says).contains(says));
        assertEquals(before, app().session().all().size());
        assertEquals(0, halfWritten());
    }

    private int halfWritten() {
        File[] parts = new File(app().getFilesDir(), "opened").listFiles((f, name) -> name.endsWith(".part"));
        return parts == null ? 0 : parts.length; // nothing half-written is left
    }

    private static byte[] shaped(String told, int height) throws JSONException {
        JSONObject sidecar = new JSONObject(told);
        sidecar.getJSONArray("inputs").getJSONObject(0).getJSONArray("shape").put(2, height);
        return sidecar.toString().getBytes(StandardCharsets.UTF_8);
    }

    @Test
    @Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
    public void badFilesAreRefusedWithASentence() throws JSONException {
        start();
        open(R.id.tab_check);
        byte[] json = read(OPENED + ".json");
        byte[] model = read(OPENED + ".onnx");
        String told = new String(json, StandardCharsets.UTF_8);
        byte[] damaged = model.clone();
        damaged[damaged.length / 2] ^= 1;
        byte[] half = java.util.Arrays.copyOf(model, model.length / 2);
        refuses("damaged, or of another export", "s.json", json, "m.onnx", damaged);
        refuses("cut off, or of another export", "s.json", json, "m.onnx", half);
        refuses("is empty", "s.json", json, "m.onnx", new byte[0]);
        refuses("no sidecar of an artifact", "s.json", "{\"hello\": 1}".getBytes(), "m.onnx", model);
        refuses("Both files are JSON", "s.json", json, "t.json", json);
        refuses("Neither file is a sidecar", "a.onnx", model, "b.onnx", model);
        refuses("Choose two files", "s.json", json);
        refuses("the shape [-1,1,-5,28]", "s.json", shaped(told, -5), "m.onnx", model);
        refuses("golden vectors do not fit", "s.json", shaped(told, 27), "m.onnx", model);
        refuses("contradicts itself", "s.json", told.replace("\"id\": \"torch", "\"id\": \"../torch").getBytes(), "m.onnx", model);
        refuses("float64", "s.json", told.replaceFirst("\"dtype\": \"float32\"", "\"dtype\": \"float64\"").getBytes(), "m.onnx", model);
        shoot("check-refused");
    }

    @Test
    public void aForeignModelUnderARightChecksumIsRefusedByItsEngine() throws Exception {
        start();
        open(R.id.tab_check);
        byte[] garbage = "this is no network".getBytes();
        String digest = org.edgewise.app.store.Digest.hex(org.edgewise.app.store.Digest.sha256().digest(garbage));
        JSONObject sidecar = new JSONObject(new String(read(OPENED + ".json"), StandardCharsets.UTF_8));
        sidecar.put("sha256", digest).put("size_bytes", garbage.length);
        choose("s.json", sidecar.toString().getBytes(), "m.onnx", garbage);
        check();
        String says = app().session().found(OPENED).problem.told(app().getResources());
        assertTrue(says, says.startsWith("onnxruntime does not load it"));
        assertTrue(text(R.id.summary), text(R.id.summary).contains("1 failed"));
        shoot("check-failed");
    }
}
