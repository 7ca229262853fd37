package org.edgewise.app.store;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.edgewise.app.R;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Size;
import org.json.JSONException;
import org.json.JSONObject;

/**
 * Images on which artifacts of a model are judged, with their labels and what the float network answers to each.
 *
 * <p>A JSON file tells `count`, `height`, `width`, `channels` and `dtype` (uint8 or float32); the file beside it holds the
 * images, then labels and answers as 32-bit integers, all little-endian.
 */
public final class Evaluation {
    public final int count;
    public final Size size;
    private final boolean bytes;
    private final ByteBuffer pixels;
    public final int[] labels;
    public final int[] answers; // the classes that the float network answers

    private Evaluation(JSONObject json, byte[] content) throws JSONException, Refused {
        json.getString("dataset_sha256"); // images that do not say which they are are refused
        count = json.getInt("count");
        size = new Size(json.getInt("height"), json.getInt("width"), json.getInt("channels"));
        bytes = json.getString("dtype").equals("uint8");
        long images = (long) count * size.count() * (bytes ? 1 : 4);
        if (count < 1 || content.length != images + 8L * count) throw new Refused(R.string.evaluation_size);
        pixels = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN);
        labels = integers((int) images);
        answers = integers((int) images + 4 * count);
    }

    /** Reads the two files; refuses what does not fit together. */
    public static Evaluation read(InputStream json, InputStream content) throws IOException, Refused {
        try (json; content) {
            return new Evaluation(new JSONObject(Texts.read(json)), Texts.bytes(content, Integer.MAX_VALUE));
        } catch (JSONException error) {
            throw new Refused(error, R.string.evaluation_size);
        }
    }

    private int[] integers(int from) {
        int[] read = new int[count];
        for (int i = 0; i < count; i++) read[i] = pixels.getInt(from + 4 * i);
        return read;
    }

    public Picture image(int i) {
        int one = size.count();
        if (bytes) return Picture.of(size, Arrays.copyOfRange(pixels.array(), i * one, (i + 1) * one));
        float[] image = new float[one];
        for (int k = 0; k < one; k++) image[k] = pixels.getFloat(4 * (i * one + k));
        return Picture.of(size, image);
    }
}
