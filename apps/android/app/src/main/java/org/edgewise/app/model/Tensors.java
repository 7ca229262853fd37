package org.edgewise.app.model;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Locale;
import org.edgewise.app.R;

/** Pictures to what an artifact takes, and what it gives to logits; as the project's own worker does, float by float. */
public final class Tensors {
    private Tensors() {}

    /** Rewinds and clears, by the methods that old Androids have: those of ByteBuffer itself came later. */
    public static void rewind(Buffer buffer) {
        buffer.clear();
    }

    public static ByteBuffer allocate(Tensor tensor) {
        return ByteBuffer.allocateDirect(tensor.bytes()).order(ByteOrder.nativeOrder());
    }

    /**
     * Fills a buffer with a picture: its axes in the input's order, quantized where the input is. An artifact that takes
     * several images at once gets as many times the same.
     */
    public static void fill(ByteBuffer buffer, Picture picture, Sidecar sidecar) throws Refused {
        Tensor tensor = sidecar.input;
        if (picture.count() != tensor.count()) {
            throw new Refused(R.string.picture_size, picture.count(), tensor.count());
        }
        rewind(buffer);
        int channels = picture.size().channels();
        int area = picture.count() / channels;
        boolean planes = sidecar.layout.equals("chw"); // one channel after the other
        for (int image = 0; image < tensor.batch(); image++) {
            for (int to = 0; to < picture.count(); to++) {
                int from = planes ? (to % area) * channels + to / area : to;
                put(buffer, picture.value(from), tensor);
            }
        }
        rewind(buffer);
    }

    private static void put(ByteBuffer buffer, float value, Tensor tensor) {
        if (tensor.size() == 4) {
            buffer.putFloat(value);
            return;
        }
        double whole = tensor.quantized() ? Math.rint(value / tensor.scale()) + tensor.zeroPoint() : value;
        boolean signed = tensor.dtype().equals("int8");
        buffer.put((byte) (int) Math.max(signed ? -128 : 0, Math.min(signed ? 127 : 255, whole)));
    }

    /** Returns the logits of the first image, one for each class; refuses an answer that is not what the sidecar promises. */
    public static float[] logits(ByteBuffer answer, Tensor tensor) throws Refused {
        ByteBuffer read = answer.duplicate().order(ByteOrder.nativeOrder());
        rewind(read);
        if (read.remaining() != tensor.bytes()) {
            throw new Refused(R.string.answer_size, read.remaining(), tensor.bytes(), tensor.dtype());
        }
        float[] logits = new float[tensor.count()];
        for (int i = 0; i < logits.length; i++) {
            float value = tensor.size() == 4 ? read.getFloat() : tensor.dtype().equals("int8") ? read.get() : read.get() & 255;
            logits[i] = tensor.quantized() ? (value - tensor.zeroPoint()) * tensor.scale() : value;
        }
        return logits;
    }

    /** Returns a difference as a person reads it. */
    public static String shown(double difference) {
        return String.format(Locale.ROOT, difference < 1e-3 || difference >= 1e4 ? "%.1e" : "%.3f", difference);
    }
}
