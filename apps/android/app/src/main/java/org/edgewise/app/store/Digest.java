package org.edgewise.app.store;

import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.math.BigInteger;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;

/** Bytes that are held against their checksum. */
public final class Digest {
    private static final long SPARE_BYTES = 16L << 20; // that Android keeps for itself, about

    private Digest() {}

    /**
     * Copies a stream to a file and closes it; where it is not what a sidecar promises, or cannot be read or written, nothing is
     * left and it is refused.
     */
    static void copy(InputStream stream, File file, Sidecar promised) throws Refused {
        file.getParentFile().mkdirs();
        File part = new File(file.getParentFile(), "." + file.getName() + ".part");
        try {
            MessageDigest digest = sha256();
            long count = 0;
            try (stream; FileOutputStream out = new FileOutputStream(part)) {
                byte[] piece = new byte[1 << 16];
                for (int read; (read = read(stream, piece)) >= 0 && count <= promised.sizeBytes; count += read) {
                    digest.update(piece, 0, read);
                    out.write(piece, 0, read);
                }
            }
            if (count != promised.sizeBytes) {
                throw new Refused(R.string.artifact_size, promised.file, count, promised.sizeBytes);
            }
            String actual = hex(digest.digest());
            if (!actual.equals(promised.sha256)) {
                throw new Refused(R.string.artifact_digest, promised.file, actual.substring(0, 12), promised.sha256.substring(0, 12));
            }
            if (!part.renameTo(file)) throw new IOException("cannot rename " + part);
        } catch (IOException error) {
            throw unwritten(error, file, promised);
        } finally {
            part.delete();
        }
    }

    /** Returns why a file could not be written: for want of room, where there is not much more than it needs. */
    public static Refused unwritten(IOException error, File file, Sidecar promised) {
        long free = file.getParentFile().getUsableSpace();
        if (free < promised.sizeBytes + SPARE_BYTES) return new Refused(error, R.string.no_room, promised.file, free >> 20);
        return new Refused(error, R.string.cannot_write, promised.file, Refused.firstLine(error));
    }

    private static int read(InputStream stream, byte[] piece) throws Refused {
        try {
            return stream.read(piece);
        } catch (IOException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    public static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error); // every Android has it
        }
    }

    public static String hex(byte[] sha256) {
        return String.format("%064x", new BigInteger(1, sha256));
    }
}
