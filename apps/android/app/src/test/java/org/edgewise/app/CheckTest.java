package org.edgewise.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import android.app.Activity;
import android.content.Intent;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.store.Digest;
import org.edgewise.app.store.Library;
import org.edgewise.app.work.Check;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.Shadows;
import org.robolectric.annotation.Config;
import org.robolectric.util.ReflectionHelpers;

/** Golden vectors at one glance, and artifacts from the phone's files. */
public class CheckTest extends AppCase {
    private static final String OPENED = "torch_cnn_small-onnx-dynamic_int8";

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
            Check.State state = app().session().status(artifact.id()).checked.state();
            if (state == Check.State.EQUAL || state == Check.State.WITHIN) good++;
        }
        assertEquals(total, good);
        assertTrue(text(R.id.summary), text(R.id.summary).endsWith("0 different, 0 failed, 0 not checkable here"));
        String ran = app().session().status("torch_cnn_small-onnx-float32").ran;
        assertTrue(ran, ran.matches("CPU \\d+ nodes"));
    }

    @Test
    @Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
    public void anArtifactIsOpenedFromFilesCheckedAndRemoved() {
        start();
        open(R.id.tab_check);
        choose(R.id.open, OPENED + ".json", read(OPENED + ".json"), OPENED + ".onnx", read(OPENED + ".onnx"));
        assertEquals(OPENED + " is here now.", text(R.id.open_status));
        check();
        shoot("check-opened");
        Check.State state = app().session().status(OPENED).checked.state();
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
        Intent request = Shadows.shadowOf(activity()).getNextStartedActivityForResult().intent;
        Shadows.shadowOf(activity()).receiveResult(request, Activity.RESULT_CANCELED, null);
        idle();
        assertEquals("", text(R.id.open_status));
    }

    private void refuses(String sentence, Object... files) {
        int before = app().session().all().size();
        choose(R.id.open, files);
        assertTrue(text(R.id.open_status), text(R.id.open_status).contains(sentence));
        assertEquals(before, app().session().all().size());
        assertEquals(0, halfWritten());
    }

    private int halfWritten() {
        File[] parts = new File(app().getFilesDir(), "opened").listFiles((f, name) -> name.endsWith(".part"));
        return parts == null ? 0 : parts.length; // nothing half-written is left
    }

    private static byte[] shaped(String json, int height) throws JSONException {
        JSONObject sidecar = new JSONObject(json);
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
        String sidecar = new String(json, StandardCharsets.UTF_8);
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
        refuses("the shape [-1,1,-5,28]", "s.json", shaped(sidecar, -5), "m.onnx", model);
        refuses("golden vectors do not fit", "s.json", shaped(sidecar, 27), "m.onnx", model);
        refuses("contradicts itself", "s.json", sidecar.replace("\"id\": \"torch", "\"id\": \"../torch").getBytes(), "m.onnx", model);
        refuses("float64", "s.json", sidecar.replaceFirst("\"dtype\": \"float32\"", "\"dtype\": \"float64\"").getBytes(), "m.onnx", model);
        refuses("no sidecar of an artifact", "s.json", sidecar.substring(0, 200).getBytes(), "m.onnx", model);
        refuses("has 2 inputs or outputs", "s.json", changed(sidecar, "inputs", twice(sidecar)), "m.onnx", model);
        refuses("gives one value", "s.json", changed(sidecar, "outputs", narrow(sidecar)), "m.onnx", model);
        refuses("the layout hw, which does not go with an input of 4 axes", "s.json",
                new JSONObject(sidecar).put("layout", "hw").toString().getBytes(), "m.onnx", model);
        shoot("check-refused");
    }

    private static byte[] changed(String json, String name, JSONArray tensors) throws JSONException {
        return new JSONObject(json).put(name, tensors).toString().getBytes(StandardCharsets.UTF_8);
    }

    private static JSONArray twice(String json) throws JSONException {
        JSONArray inputs = new JSONObject(json).getJSONArray("inputs");
        return inputs.put(inputs.getJSONObject(0));
    }

    private static JSONArray narrow(String json) throws JSONException {
        JSONArray outputs = new JSONObject(json).getJSONArray("outputs");
        outputs.getJSONObject(0).put("shape", new JSONArray(List.of(1, 1)));
        return outputs;
    }

    @Test
    public void aFileThatCannotBeReadToItsEndIsNoLackOfStorage() {
        start();
        open(R.id.tab_check);
        byte[] model = read(OPENED + ".onnx");
        InputStream broken = new SequenceInputStream(new ByteArrayInputStream(model, 0, 9), new InputStream() {
            @Override
            public int read() throws IOException {
                throw new IOException("the cloud is away");
            }
        });
        String json = new String(read(OPENED + ".json"), StandardCharsets.UTF_8);
        Refused refused = assertThrows(Refused.class, () -> app().library().keep(json, broken));
        assertEquals("This file cannot be read: the cloud is away", refused.sentence(app().getResources()));
        assertEquals(0, halfWritten());
    }

    @Test
    public void aFullPhoneIsToldApartFromOneThatCannotWrite() throws Refused {
        Sidecar sidecar = app().session().artifact("torch_cnn_small-onnx-float32").sidecar;
        File nowhere = new File("/no/such/folder/file"); // has no room, says Java
        Refused refused = Digest.unwritten(new IOException("x"), nowhere, sidecar);
        assertEquals(sidecar.file + " could not be written: 0 MB are free. Free some storage on this phone.", refused.sentence(app().getResources()));
    }

    /** Puts a file where the app wants a folder: whatever is written into it fails. */
    private void fill(String folder) throws IOException {
        Files.write(new File(app().getFilesDir(), folder).toPath(), new byte[0]);
    }

    @Test
    public void aPhoneThatCannotWriteSaysSoOnEachScreen() throws IOException {
        for (String folder : new String[] {"verified", "opened", "bench"}) fill(folder);
        start();
        open(R.id.tab_check);
        choose(R.id.open, OPENED + ".json", read(OPENED + ".json"), OPENED + ".onnx", read(OPENED + ".onnx"));
        assertTrue(text(R.id.open_status), text(R.id.open_status).contains("could not be written: Not a directory. "));
        assertTrue(text(R.id.open_status), text(R.id.open_status).contains("Start the app again"));
        check();
        String sentence = app().session().status("torch_cnn_small-onnx-float32").problem.sentence(app().getResources());
        assertTrue(sentence, sentence.contains("could not be written: "));
        shoot("check-cannot-write");
        open(R.id.tab_benchmark);
        touch(find(R.id.measure), 0.5f, 0.5f);
        await("the benchmark ends", () -> !app().measuring().running());
        assertTrue(text(R.id.bench_status), text(R.id.bench_status).startsWith("Nothing could be written: Not a directory. "));
    }

    @Test
    @Config(qualifiers = "w411dp-h700dp-port-xhdpi")
    public void anAppWithoutArtifactsSaysHowToComeBySome() {
        ReflectionHelpers.setField(app(), "library", new Library(app(), "no such folder"));
        start();
        shoot("compare-no-artifacts");
        assertTrue(text(R.id.verdict), text(R.id.verdict).startsWith("This app holds no artifact."));
        open(R.id.tab_check);
        assertEquals(text(R.id.verdict), text(R.id.summary));
        shoot("check-no-artifacts");
        open(R.id.tab_benchmark);
        touch(find(R.id.measure), 0.5f, 0.5f);
        assertEquals("No artifact is chosen that this build has an engine for.", text(R.id.bench_status));
    }

    @Test
    public void aForeignModelUnderARightChecksumIsRefusedByItsEngine() throws Exception {
        start();
        open(R.id.tab_check);
        byte[] garbage = "this is no network".getBytes();
        String digest = org.edgewise.app.store.Digest.hex(org.edgewise.app.store.Digest.sha256().digest(garbage));
        JSONObject sidecar = new JSONObject(new String(read(OPENED + ".json"), StandardCharsets.UTF_8));
        sidecar.put("sha256", digest).put("size_bytes", garbage.length);
        choose(R.id.open, "s.json", sidecar.toString().getBytes(), "m.onnx", garbage);
        check();
        String sentence = app().session().status(OPENED).problem.sentence(app().getResources());
        assertTrue(sentence, sentence.startsWith("onnxruntime does not load it"));
        assertTrue(text(R.id.summary), text(R.id.summary).contains("1 failed"));
        shoot("check-failed");
    }
}
