package org.edgewise.app.model;

/** Of a picture. */
public record Size(int height, int width, int channels) {
    /** Reads it from an input's shape; `layout` is the order of one image's axes: hw, hwc or chw. */
    static Size of(int[] shape, String layout) {
        if (layout.equals("chw")) return new Size(shape[2], shape[3], shape[1]);
        return new Size(shape[1], shape[2], shape.length > 3 ? shape[3] : 1);
    }

    public int count() {
        return height * width * channels;
    }
}
