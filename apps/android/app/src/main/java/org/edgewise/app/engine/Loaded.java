package org.edgewise.app.engine;

import java.nio.ByteBuffer;

/** An artifact in its engine; used by one thread at a time. */
public interface Loaded extends AutoCloseable {
    /** Returns the answer to an input of the sidecar's type and shape, in native order; good until the next call. */
    ByteBuffer run(ByteBuffer input) throws Exception;

    /** Returns what ran where, as the engine itself tells it; null where it does not tell. */
    String ran() throws Exception;

    @Override
    void close();
}
