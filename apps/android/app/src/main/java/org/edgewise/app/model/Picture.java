package org.edgewise.app.model;

/** Pixels [height, width, channels]: bytes, which networks take as 0..1, or floats, which they take as they are; else null. */
public record Picture(Size size, byte[] bytes, float[] floats) {
    public static Picture of(Size size, byte[] pixels) {
        return new Picture(size, pixels, null);
    }

    public static Picture of(Size size, float[] pixels) {
        return new Picture(size, null, pixels);
    }

    public boolean isBytes() {
        return bytes != null;
    }

    public int count() {
        return isBytes() ? bytes.length : floats.length;
    }

    /** Returns a value as a network takes it. */
    public float value(int i) {
        return isBytes() ? (bytes[i] & 255) / 255f : floats[i];
    }
}
