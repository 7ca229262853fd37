package org.edgewise.app;

import static org.junit.Assert.*;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Set;
import org.edgewise.app.engine.Accelerator;
import org.edgewise.app.engine.Engine;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.work.Check;
import org.edgewise.app.work.Running;
import org.edgewise.app.work.Verdict;
import org.json.JSONObject;
import org.junit.Test;

/** Engines that throw, lie, answer garbage, or are not there: refused with a sentence, never a crash. */
public class EngineTest extends AppCase {
    /** An engine that does as it is told. */
    private record Fake(Throwable onLoad, Throwable onRun, ByteBuffer answer) implements Engine, Engine.Loaded {
        @Override
        public String id() {
            return "onnxruntime";
        }

        @Override
        public Engine.Loaded load(File file, Sidecar sidecar, Settings settings) throws Exception {
            throwIt(onLoad);
            return this;
        }

        @Override
        public ByteBuffer run(ByteBuffer input) throws Exception {
            throwIt(onRun);
            return answer;
        }

        private static void throwIt(Throwable thrown) throws Exception {
            if (thrown instanceof Error error) throw error;
            if (thrown != null) throw (Exception) thrown;
        }

        @Override
        public void close() {}
    }

    private static final ByteBuffer RIGHT_SIZE = ByteBuffer.allocate(40);

    private Artifact artifact() throws Refused {
        return app().session().artifact(ONNX);
    }

    private String refusal(Engine engine, long pageBytes, JSONObject build) {
        Engines engines = new Engines(List.of(engine), build, pageBytes);
        Refused refused = assertThrows(Refused.class, () -> {
            try (Running running = Running.load(artifact(), engines, Settings.DEFAULT)) {
                running.answer(Picture.of(artifact().sidecar().size, new byte[784]));
            }
        });
        return sentence(refused);
    }

    private String refusal(Fake engine) {
        return refusal(engine, 4096, new JSONObject());
    }

    @Test
    public void whateverAnEngineThrowsIsToldInItsOwnWordsAndAnAnswerOfAnotherShapeIsRefused() {
        assertEquals("onnxruntime does not load it: no such operator", refusal(new Fake(new IllegalStateException("no such operator\nmore"), null, null)));
        assertEquals("onnxruntime does not load it: libonnx.so not found", refusal(new Fake(new UnsatisfiedLinkError("libonnx.so not found"), null, null)));
        assertEquals("onnxruntime failed while it ran: boom", refusal(new Fake(null, new RuntimeException("boom"), null)));
        assertEquals("onnxruntime does not load it: StackOverflowError", refusal(new Fake(new StackOverflowError(), null, null)));
        assertEquals("onnxruntime failed while it ran: a bug of the engine", refusal(new Fake(null, new AssertionError("a bug of the engine"), null)));
        assertTrue(refusal(new Fake(new OutOfMemoryError(), null, null)).startsWith("This phone has no memory left"));
        assertTrue(refusal(new Fake(null, new OutOfMemoryError(), null)).startsWith("This phone has no memory left"));
        assertEquals("The answer has 8 bytes, the sidecar says 40 of float32.", refusal(new Fake(null, null, ByteBuffer.allocate(8))));
    }

    @Test
    public void anEngineThatWasLeftOutOrWhoseLibraryIsBuiltForSmallPagesIsToldWithItsReason() throws Exception {
        JSONObject build = new JSONObject("{\"engines\": {\"onnxruntime\": {\"small_pages\": [\"libonnx.so\"]}}}");
        String text = refusal(new Fake(null, null, RIGHT_SIZE), 16384, build);
        assertEquals("onnxruntime does not load on this phone: its library libonnx.so is aligned to 4 kB pages, this phone has 16 kB.", text);
        Engines engines = new Engines(List.of(), new JSONObject("{\"left_out\": {\"onnxruntime\": \"It was not asked for.\"}}"), 4096);
        Refused refused = assertThrows(Refused.class, () -> engines.of(artifact().sidecar()));
        assertEquals("onnxruntime is not in this build. It was not asked for.", sentence(refused));
    }

    @Test
    public void garbageInSilenceIsCaughtByTheGoldenVectors() throws Refused {
        ByteBuffer garbage = ByteBuffer.allocate(40).order(java.nio.ByteOrder.nativeOrder());
        for (int i = 0; i < 10; i++) garbage.putFloat(i == 3 ? 1.6e6f : 0);
        Engines engines = new Engines(List.of(new Fake(null, null, garbage)), new JSONObject(), 4096);
        try (Running running = Running.load(artifact(), engines, Settings.DEFAULT)) {
            Check.Checked checked = Check.run(running);
            assertEquals(Check.State.DIFFERENT, checked.state());
            assertEquals("the exporter's machine says 7 to a 7, this phone 3", sentence(checked.wrong()));
        }
    }

    @Test
    public void whatIsNotOfferedIsRefusedAndNeverReplaced() {
        Engines engines = new Engines(List.of(new Fake(null, null, RIGHT_SIZE)), new JSONObject(), 4096);
        Settings nnapi = new Settings(1, Accelerator.NNAPI);
        Refused refused = assertThrows(Refused.class, () -> Running.load(artifact(), engines, nnapi));
        assertEquals("onnxruntime does not offer nnapi in this build.", sentence(refused));
        assertEquals("+t4+nnapi", new Settings(4, Accelerator.NNAPI).suffix());
    }

    @Test
    public void quantizedInputsAreRoundedAndBoundedAsTheDesktopsAre() throws Exception {
        Sidecar sidecar = app().session().artifact("torch_cnn_small-tflite-int8_io").sidecar();
        ByteBuffer filled = sidecar.input.allocate();
        byte[] pixels = new byte[784];
        pixels[0] = (byte) 255;
        sidecar.input.fill(filled, Picture.of(sidecar.size, pixels), sidecar.layout);
        int low = sidecar.input.dtype().equals("int8") ? filled.get(1) : filled.get(1) & 255;
        int high = sidecar.input.dtype().equals("int8") ? filled.get(0) : filled.get(0) & 255;
        assertEquals(sidecar.input.zeroPoint(), low);
        assertEquals(Math.round(1 / sidecar.input.scale()) + sidecar.input.zeroPoint(), high, 1);
    }

    @Test
    public void whoDiffersFromMostIsOddAndWithoutAMajorityAllAre() {
        assertEquals(Set.of("c"), Verdict.of(new java.util.TreeMap<>(java.util.Map.of("a", 1, "b", 1, "c", 2))).odd());
        assertEquals(Set.of("a", "b"), Verdict.of(new java.util.TreeMap<>(java.util.Map.of("a", 1, "b", 2))).odd());
        assertTrue(Verdict.of(java.util.Map.of("a", 1, "b", -1)).agreed());
    }
}
