package org.edgewise.app.model;

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

    /** Returns the bytes of all images. */
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
}
