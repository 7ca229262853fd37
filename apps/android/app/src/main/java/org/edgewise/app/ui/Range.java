package org.edgewise.app.ui;

import java.util.Arrays;
import org.edgewise.app.model.Golden;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Sidecar;

/**
 * Which values a picture's darkest and brightest become, per channel, where a network takes floats.
 *
 * <p>How its images were made of pictures is not told: one of the usual ranges where all values of its golden images lie in
 * it, else the smallest and the largest value of each channel.
 */
record Range(float[] low, float[] high) {
    private static final float[][] USUAL = {{0, 1}, {-1, 1}, {0, 255}};

    static Range of(Sidecar sidecar) {
        int channels = sidecar.size.channels();
        float[] low = new float[channels];
        float[] high = new float[channels];
        Arrays.fill(low, Float.POSITIVE_INFINITY);
        Arrays.fill(high, Float.NEGATIVE_INFINITY);
        float least = Float.POSITIVE_INFINITY;
        float most = Float.NEGATIVE_INFINITY;
        for (Golden golden : sidecar.golden) {
            for (int i = 0; i < golden.picture().count(); i++) {
                float value = golden.picture().value(i);
                low[i % channels] = Math.min(low[i % channels], value);
                high[i % channels] = Math.max(high[i % channels], value);
                least = Math.min(least, value);
                most = Math.max(most, value);
            }
        }
        for (float[] usual : USUAL) {
            // 0..255 only where it is used: normalised values may all be small and positive
            if (usual[0] <= least && most <= usual[1] && most > usual[1] / 2) {
                Arrays.fill(low, usual[0]);
                Arrays.fill(high, usual[1]);
                break;
            }
        }
        return new Range(low, high);
    }

    /** Returns the picture that a network takes for bytes [height, width, channels]. */
    static Picture picture(byte[] bytes, Sidecar sidecar) {
        if (sidecar.takesBytes()) return Picture.of(sidecar.size, bytes);
        Range range = of(sidecar);
        float[] floats = new float[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            float low = range.low[i % range.low.length];
            floats[i] = low + (bytes[i] & 255) / 255f * (range.high[i % range.low.length] - low);
        }
        return Picture.of(sidecar.size, floats);
    }
}
