package org.edgewise.app.work;

import java.io.File;
import java.nio.ByteBuffer;
import org.edgewise.app.R;
import org.edgewise.app.engine.Engine;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Scores;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Tensor;
import org.edgewise.app.store.Artifact;

/** An artifact that is loaded in its engine; whatever an engine throws is refused with its own words. */
public record Running(Sidecar sidecar, Engine engine, Engine.Loaded loaded, ByteBuffer input, long loadNs)
        implements AutoCloseable {
    /** Loads an artifact; `settings` are refused where the engine does not offer them. */
    public static Running load(Artifact artifact, Engines engines, Settings settings) throws Refused {
        Engine engine = engines.of(artifact.sidecar());
        if (!engine.accelerators().contains(settings.accelerator())) {
            throw new Refused(R.string.not_offered, engine.id(), settings.accelerator().id);
        }
        File file = artifact.file();
        try {
            ByteBuffer input = artifact.sidecar().input.allocate(); // first, for it may be what memory is too short for
            long began = System.nanoTime();
            Engine.Loaded loaded = engine.load(file, artifact.sidecar(), settings);
            return new Running(artifact.sidecar(), engine, loaded, input, System.nanoTime() - began);
        } catch (Exception | Error error) { // a native library that does not load here, a stack that is too small, anything
            throw refused(error, R.string.engine_refuses, engine, artifact.id());
        }
    }

    public Answer answer(Picture picture) throws Refused {
        show(picture);
        Ran ran = run();
        return new Answer(sidecar.output.logits(ran.output()), ran.nanoseconds());
    }

    /** Fills the input once, so that `again` times inferences of it alone. */
    public void show(Picture picture) throws Refused {
        sidecar.input.fill(input, picture, sidecar.layout);
    }

    /** Infers what was shown; returns the nanoseconds. */
    public long again() throws Refused {
        return run().nanoseconds();
    }

    private record Ran(ByteBuffer output, long nanoseconds) {}

    private Ran run() throws Refused {
        try {
            Tensor.rewind(input);
            long began = System.nanoTime();
            ByteBuffer output = loaded.run(input);
            return new Ran(output, Math.max(1, System.nanoTime() - began));
        } catch (Exception | Error error) {
            throw refused(error, R.string.engine_fails, engine, sidecar.id);
        }
    }

    private static Refused refused(Throwable error, int text, Engine engine, String id) {
        if (error instanceof Refused refused) return refused;
        return error instanceof OutOfMemoryError ? new Refused(error, R.string.out_of_memory, id)
                : new Refused(error, text, engine.id(), Refused.firstLine(error));
    }

    /** Returns what ran where, as the engine tells it; null where it does not tell, or fails to. */
    public String ran() {
        try {
            return loaded.ran();
        } catch (Exception | Error error) {
            return null;
        }
    }

    @Override
    public void close() {
        try {
            loaded.close();
        } catch (RuntimeException | Error error) {
            // what an engine cannot let go of any more is the system's when the app ends
        }
    }

    /** What an artifact answers to a picture, and how long the inference alone took. */
    public record Answer(float[] logits, long nanoseconds) {
        public int choice() {
            return Scores.choice(logits);
        }

        public float[] odds() {
            return Scores.odds(logits);
        }
    }
}
