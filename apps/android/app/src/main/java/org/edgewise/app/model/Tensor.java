package org.edgewise.app.model;

import java.nio.Buffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.edgewise.app.R;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * What an artifact takes or gives at once: its shape, whose first size counts the images, its type, and its quantization.
 *
 * <p>`scale` is 0 where values are not quantized.
 */
public record Tensor(int[] shape, String dtype, float scale, int zeroPoint) {
    private static final int MOST_VALUES = 1 << 26; // a damaged sidecar may ask for anything

    /** Reads one of a sidecar's tensors; any number of images, which is -1 there, is taken as one. */
    static Tensor read(JSONArray tensors) throws JSONException, Refused {
        if (tensors.length() != 1) throw new Refused(R.string.sidecar_tensors, tensors.length());
        JSONObject json = tensors.getJSONObject(0);
        JSONArray sizes = json.getJSONArray("shape");
        int[] shape = new int[sizes.length()];
        long values = 1;
        for (int i = 0; i < shape.length; i++) {
            shape[i] = i == 0 && sizes.getInt(i) == -1 ? 1 : sizes.getInt(i);
            values *= shape[i];
            if (shape[i] < 1 || values > MOST_VALUES) throw new Refused(R.string.sidecar_shape, sizes.toString());
        }
        if (shape.length < 2) throw new Refused(R.string.sidecar_shape, sizes.toString());
        String dtype = json.getString("dtype");
        float scale = (float) json.optDouble("scale", 0);
        Tensor read = new Tensor(shape, dtype, Float.isFinite(scale) ? scale : 0, json.optInt("zero_point", 0));
        if (read.size() == 0) throw new Refused(R.string.sidecar_type, dtype);
        return read;
    }

    /** Returns how many images it holds at once. */
    public int batch() {
        return shape[0];
    }

    /** Returns how many values there are for one image. */
    public int count() {
        int count = 1;
        for (int i = 1; i < shape.length; i++) count *= shape[i];
        return count;
    }

    /** Returns the bytes of a value; 0 for a type that this app cannot make of a picture. */
    public int size() {
        return switch (dtype) {
            case "float32" -> 4;
            case "uint8", "int8" -> 1;
            default -> 0;
        };
    }

    public int bytes() {
        return batch() * count() * size();
    }

    /** Returns the shape as engines take it. */
    public long[] sizes() {
        return Arrays.stream(shape).asLongStream().toArray();
    }

    public boolean quantized() {
        return scale != 0;
    }

    /** Rewinds and clears, by the methods that old Androids have: those of ByteBuffer itself came later. */
    public static void rewind(Buffer buffer) {
        buffer.clear();
    }

    public ByteBuffer allocate() {
        return ByteBuffer.allocateDirect(bytes()).order(ByteOrder.nativeOrder());
    }

    /**
     * Fills a buffer with a picture: its axes in the layout's order, quantized where this is, as the project's own worker does,
     * float by float. An artifact that takes several images at once gets as many times the same.
     */
    public void fill(ByteBuffer buffer, Picture picture, String layout) throws Refused {
        if (picture.count() != count()) throw new Refused(R.string.picture_size, picture.count(), count());
        rewind(buffer);
        int channels = picture.size().channels();
        int area = picture.count() / channels;
        boolean planes = layout.equals("chw"); // one channel after the other
        for (int image = 0; image < batch(); image++) {
            for (int to = 0; to < picture.count(); to++) {
                put(buffer, picture.value(planes ? (to % area) * channels + to / area : to));
            }
        }
        rewind(buffer);
    }

    private void put(ByteBuffer buffer, float value) {
        if (size() == 4) {
            buffer.putFloat(value);
            return;
        }
        double whole = quantized() ? Math.rint(value / scale) + zeroPoint : value;
        boolean signed = dtype.equals("int8");
        buffer.put((byte) (int) Math.max(signed ? -128 : 0, Math.min(signed ? 127 : 255, whole)));
    }

    /** Returns the logits of the first image, one for each class; refuses an answer that is not what the sidecar promises. */
    public float[] logits(ByteBuffer answer) throws Refused {
        ByteBuffer read = answer.duplicate().order(ByteOrder.nativeOrder());
        rewind(read);
        if (read.remaining() != bytes()) throw new Refused(R.string.answer_size, read.remaining(), bytes(), dtype);
        float[] logits = new float[count()];
        for (int i = 0; i < logits.length; i++) {
            float value = size() == 4 ? read.getFloat() : dtype.equals("int8") ? read.get() : read.get() & 255;
            logits[i] = quantized() ? (value - zeroPoint) * scale : value;
        }
        return logits;
    }
}
