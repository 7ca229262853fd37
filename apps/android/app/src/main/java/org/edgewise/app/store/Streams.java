package org.edgewise.app.store;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

/** Streams whole; InputStream.readAllBytes came with API 33. */
final class Streams {
    private Streams() {}

    static byte[] all(InputStream stream) throws IOException {
        return all(stream, Integer.MAX_VALUE);
    }

    /** Raises IOException for more than `most` bytes. */
    static byte[] all(InputStream stream, int most) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] part = new byte[1 << 16];
        for (int count; (count = stream.read(part)) >= 0; ) {
            content.write(part, 0, count);
            if (content.size() > most) throw new IOException("it has more than " + most + " bytes");
        }
        return content.toByteArray();
    }
}
