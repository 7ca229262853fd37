package org.edgewise.app.store;

import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Arrays;

/** Small files as text; written whole or not at all. */
public final class Texts {
    private static final int MOST_BYTES = 64 << 20;

    private Texts() {}

    /** Reads a stream to its end and closes it; raises IOException for more than a sidecar can have. */
    public static String read(InputStream stream) throws IOException {
        try (stream) {
            return new String(bytes(stream, MOST_BYTES), StandardCharsets.UTF_8);
        }
    }

    public static String read(File file) throws IOException {
        return read(Files.newInputStream(file.toPath()));
    }

    /** Reads a stream to its end; raises IOException for more than `most` bytes. InputStream.readAllBytes came with API 33. */
    static byte[] bytes(InputStream stream, int most) throws IOException {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] part = new byte[1 << 16];
        for (int count; (count = stream.read(part)) >= 0; ) {
            content.write(part, 0, count);
            if (content.size() > most) throw new IOException("it has more than " + most + " bytes");
        }
        return content.toByteArray();
    }

    /** Returns the files of a folder whose names match, sorted; none where there is no folder. */
    public static File[] list(File folder, String pattern) {
        File[] files = folder.listFiles((parent, name) -> name.matches(pattern));
        if (files == null) return new File[0];
        Arrays.sort(files);
        return files;
    }

    /** Writes a file under another name and renames it. */
    public static void write(File file, String text) throws IOException {
        file.getParentFile().mkdirs();
        File part = new File(file.getParentFile(), "." + file.getName() + ".part");
        try {
            try (FileOutputStream out = new FileOutputStream(part)) {
                out.write(text.getBytes(StandardCharsets.UTF_8));
                out.getFD().sync();
            }
            if (!part.renameTo(file)) throw new IOException("cannot rename " + part);
        } finally {
            part.delete(); // where it is still there
        }
    }
}
