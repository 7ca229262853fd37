package org.edgewise.app.engine;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.Set;
import org.edgewise.app.model.Sidecar;

/** A library that runs artifacts. */
public interface Engine {
    /** Returns its name in the matrix: litert, onnxruntime or executorch. */
    String id();

    /** Returns what it can be asked to compute with in this build; only what it can tell the outcome of. */
    default Set<Accelerator> accelerators() {
        return Set.of(Accelerator.DEFAULT);
    }

    /** Loads an artifact. Libraries throw anything, errors of linking among it. */
    Loaded load(File file, Sidecar sidecar, Settings settings) throws Exception;

    /** An artifact in its engine; used by one thread at a time. */
    interface Loaded extends AutoCloseable {
        /** Returns the answer to an input of the sidecar's type and shape, in native order; good until the next call. */
        ByteBuffer run(ByteBuffer input) throws Exception;

        /** Returns what ran where, as the engine itself tells it; null where it does not tell. */
        default String ran() throws Exception {
            return null;
        }

        @Override
        void close();
    }
}
