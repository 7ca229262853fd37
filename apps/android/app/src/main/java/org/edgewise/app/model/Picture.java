package org.edgewise.app.model;

/** Pixels [height, width, channels]: bytes, which networks take as 0..1, or floats, which they take as they are. */
public final class Picture {
    public final int height;
    public final int width;
    public final int channels;
    private final byte[] bytes;
    private final float[] floats;

    private Picture(int height, int width, int channels, byte[] bytes, float[] floats) {
        this.height = height;
        this.width = width;
        this.channels = channels;
        this.bytes = bytes;
        this.floats = floats;
    }

    public static Picture of(Size size, byte[] pixels) {
        return new Picture(size.height(), size.width(), size.channels(), pixels, null);
    }

    public static Picture of(Size size, float[] pixels) {
        return new Picture(size.height(), size.width(), size.channels(), null, pixels);
    }

    public boolean isBytes() {
        return bytes != null;
    }

    public int count() {
        return bytes != null ? bytes.length : floats.length;
    }

    /** Returns a value as a network takes it. */
    public float value(int i) {
        return bytes != null ? (bytes[i] & 255) / 255f : floats[i];
    }
}
