package org.edgewise.app;

import static org.junit.Assert.*;

import android.app.Activity;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.store.Digest;
import org.edgewise.app.store.Library;
import org.edgewise.app.store.Texts;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.annotation.Config;
import org.robolectric.util.ReflectionHelpers;

/** Golden vectors at one glance, and artifacts from the phone's files. */
public class CheckTest extends AppCase {
    private static final String OPENED = "torch_cnn_small-onnx-dynamic_int8";

    @Test
    @Config(qualifiers = "w411dp-h1100dp-port-xhdpi")
    public void everyArtifactIsHeldAgainstItsGoldenVectors() {
        start();
        press(R.id.tab_check);
        assertEquals("Nothing was checked yet.", text(R.id.summary));
        check();
        shoot("check");
        for (Artifact artifact : app().session().all()) assertGood(artifact.id());
        assertTrue(text(R.id.summary), text(R.id.summary).endsWith("0 different, 0 failed, 0 not checkable here"));
        String ran = app().session().status(ONNX).ran;
        assertTrue(ran, ran.matches("CPU \\d+ nodes"));
    }

    @Test
    @Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
    public void anArtifactIsOpenedFromFilesCheckedAndRemoved() throws Refused {
        start();
        press(R.id.tab_check);
        press(R.id.open);
        answer(Activity.RESULT_CANCELED, null); // a person who changes their mind changes nothing
        assertEquals("", text(R.id.open_status));
        openFiles(OPENED);
        assertEquals(OPENED + " is here now.", text(R.id.open_status));
        check();
        shoot("check-opened");
        assertGood(OPENED);
        int before = app().session().all().size();
        app().library().remove(app().session().artifact(OPENED));
        app().session().refresh();
        assertEquals(before - 1, app().session().all().size());
    }

    private void refuses(String sentence, Object... files) {
        int before = app().session().all().size();
        choose(R.id.open, files);
        assertContains(sentence, text(R.id.open_status));
        assertEquals(before, app().session().all().size());
        assertEquals(0, halfWritten());
    }

    private int halfWritten() {
        return Texts.list(new File(app().getFilesDir(), "opened"), ".*\\.part").length; // nothing half-written is left
    }

    private interface Change {
        void to(JSONObject sidecar) throws JSONException;
    }

    /** Returns the sidecar of the files, changed. */
    private static byte[] sidecar(Change change) throws JSONException {
        JSONObject sidecar = new JSONObject(new String(read(OPENED + ".json"), StandardCharsets.UTF_8));
        change.to(sidecar);
        return sidecar.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static JSONObject first(JSONObject sidecar, String tensors) throws JSONException {
        return sidecar.getJSONArray(tensors).getJSONObject(0);
    }

    private static JSONArray shape(JSONObject sidecar, String tensors) throws JSONException {
        return first(sidecar, tensors).getJSONArray("shape");
    }

    @Test
    @Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
    public void badFilesAreRefusedWithASentence() throws JSONException {
        start();
        press(R.id.tab_check);
        byte[] json = read(OPENED + ".json");
        byte[] model = read(OPENED + ".onnx");
        byte[] damaged = model.clone();
        damaged[damaged.length / 2] ^= 1;
        byte[] half = Arrays.copyOf(model, model.length / 2);
        refuses("damaged, or of another export", "s.json", json, "m.onnx", damaged);
        refuses("cut off, or of another export", "s.json", json, "m.onnx", half);
        refuses("is empty", "s.json", json, "m.onnx", new byte[0]);
        refuses("no sidecar of an artifact", "s.json", "{\"hello\": 1}".getBytes(), "m.onnx", model);
        refuses("Both files are JSON", "s.json", json, "t.json", json);
        refuses("Neither file is a sidecar", "a.onnx", model, "b.onnx", model);
        refuses("Choose two files", "s.json", json);
        refuses("the shape [-1,1,-5,28]", "s.json", sidecar(s -> shape(s, "inputs").put(2, -5)), "m.onnx", model);
        refuses("golden vectors do not fit", "s.json", sidecar(s -> shape(s, "inputs").put(2, 27)), "m.onnx", model);
        refuses("contradicts itself", "s.json", sidecar(s -> s.put("id", "../" + s.getString("id"))), "m.onnx", model);
        refuses("float64", "s.json", sidecar(s -> first(s, "inputs").put("dtype", "float64")), "m.onnx", model);
        refuses("no sidecar of an artifact", "s.json", Arrays.copyOf(json, 200), "m.onnx", model);
        refuses("has 2 inputs or outputs", "s.json", sidecar(s -> s.getJSONArray("inputs").put(first(s, "inputs"))), "m.onnx", model);
        refuses("gives one value", "s.json", sidecar(s -> shape(s, "outputs").put(1, 1)), "m.onnx", model);
        refuses("the layout hw, which does not go with an input of 4 axes", "s.json", sidecar(s -> s.put("layout", "hw")), "m.onnx", model);
        shoot("check-refused");
    }

    @Test
    public void aFileThatCannotBeReadAFullPhoneAndOneThatCannotWriteAreToldApart() throws Refused {
        byte[] model = read(OPENED + ".onnx");
        InputStream broken = new SequenceInputStream(new ByteArrayInputStream(model, 0, 9), new InputStream() {
            @Override
            public int read() throws IOException {
                throw new IOException("the cloud is away");
            }
        });
        String json = new String(read(OPENED + ".json"), StandardCharsets.UTF_8);
        Refused refused = assertThrows(Refused.class, () -> app().library().keep(json, broken));
        assertEquals("This file cannot be read: the cloud is away", sentence(refused));
        assertEquals(0, halfWritten());
        Sidecar sidecar = app().session().artifact(ONNX).sidecar();
        File nowhere = new File("/no/such/folder/file"); // has no room, says Java
        refused = Digest.unwritten(new IOException("x"), nowhere, sidecar);
        assertEquals(sidecar.file + " could not be written: 0 MB are free. Free some storage on this phone.", sentence(refused));
    }

    /** Puts a file where the app wants a folder: whatever is written into it fails. */
    private void fill(String folder) throws IOException {
        Files.write(new File(app().getFilesDir(), folder).toPath(), new byte[0]);
    }

    @Test
    public void aPhoneThatCannotWriteSaysSoOnEachScreen() throws IOException {
        for (String folder : new String[] {"verified", "opened", "bench"}) fill(folder);
        start();
        press(R.id.tab_check);
        openFiles(OPENED);
        assertContains("could not be written: Not a directory. ", text(R.id.open_status));
        assertContains("Start the app again", text(R.id.open_status));
        check();
        assertContains("could not be written: ", sentence(app().session().status(ONNX).problem));
        shoot("check-cannot-write");
        press(R.id.tab_benchmark);
        press(R.id.measure);
        awaitEnd();
        assertTrue(text(R.id.bench_status), text(R.id.bench_status).startsWith("Nothing could be written: Not a directory. "));
    }

    @Test
    @Config(qualifiers = "w411dp-h700dp-port-xhdpi")
    public void anAppWithoutArtifactsSaysHowToComeBySome() {
        ReflectionHelpers.setField(app(), "library", new Library(app(), "no such folder"));
        start();
        shoot("compare-no-artifacts");
        assertTrue(text(R.id.verdict), text(R.id.verdict).startsWith("This app holds no artifact."));
        press(R.id.tab_check);
        assertEquals(text(R.id.verdict), text(R.id.summary));
        shoot("check-no-artifacts");
        press(R.id.tab_benchmark);
        press(R.id.measure);
        assertEquals("No artifact is chosen that this build has an engine for.", text(R.id.bench_status));
    }

    @Test
    public void aForeignModelUnderARightChecksumIsRefusedByItsEngine() throws Exception {
        start();
        press(R.id.tab_check);
        byte[] garbage = "this is no network".getBytes();
        String digest = Digest.hex(Digest.sha256().digest(garbage));
        byte[] sidecar = sidecar(s -> s.put("sha256", digest).put("size_bytes", garbage.length));
        choose(R.id.open, "s.json", sidecar, "m.onnx", garbage);
        check();
        String sentence = sentence(app().session().status(OPENED).problem);
        assertTrue(sentence, sentence.startsWith("onnxruntime does not load it"));
        assertContains("1 failed", text(R.id.summary));
        shoot("check-failed");
    }
}
