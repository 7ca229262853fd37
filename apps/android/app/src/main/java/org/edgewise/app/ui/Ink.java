package org.edgewise.app.ui;

import java.util.List;
import org.edgewise.app.model.Size;

/**
 * Strokes to what networks see, as MNIST's digits were prepared: the drawing is scaled so that its longer side fills 20
 * of 28 pixels, then moved by whole pixels until its centre of mass lies in the middle.
 */
record Ink(Size size, float[] boxed) {
    private static final float SHARE = 20f / 28f;

    /** A line of points x, y, x, y, ... in any unit, and its width in the same. */
    record Stroke(float[] points, float width) {}

    /** Returns the grey values of strokes, or null where nothing is drawn. */
    static byte[] see(List<Stroke> strokes, Size size) {
        float[] edges = bounds(strokes);
        return edges == null ? null : new Ink(size, new float[size.count()]).draw(strokes, edges);
    }

    private byte[] draw(List<Stroke> strokes, float[] edges) {
        float box = SHARE * Math.min(size.width(), size.height());
        float scale = box / Math.max(edges[2] - edges[0], edges[3] - edges[1]);
        float width = (edges[2] - edges[0]) * scale;
        float height = (edges[3] - edges[1]) * scale;
        float left = (size.width() - width) / 2;
        float top = (size.height() - height) / 2;
        for (Stroke stroke : strokes) {
            float[] p = stroke.points();
            for (int i = 0; i < p.length; i += 2) {
                int from = Math.max(i - 2, 0);
                rub((p[from] - edges[0]) * scale + left, (p[from + 1] - edges[1]) * scale + top,
                        (p[i] - edges[0]) * scale + left, (p[i + 1] - edges[1]) * scale + top, stroke.width() * scale / 2);
            }
        }
        float[] centre = centreOfMass();
        // never so far that ink would leave the picture
        int dx = clamp(Math.round(size.width() / 2f - centre[0]), (int) -left, (int) (size.width() - left - width));
        int dy = clamp(Math.round(size.height() / 2f - centre[1]), (int) -top, (int) (size.height() - top - height));
        byte[] seen = new byte[boxed.length];
        for (int i = 0; i < boxed.length; i++) {
            int at = i + dy * size.width() + dx;
            if (boxed[i] > 0 && at >= 0 && at < seen.length) seen[at] = (byte) Math.round(boxed[i] * 255);
        }
        return seen;
    }

    private static float[] bounds(List<Stroke> strokes) {
        float left = Float.POSITIVE_INFINITY;
        float top = left;
        float right = Float.NEGATIVE_INFINITY;
        float bottom = right;
        for (Stroke stroke : strokes) {
            float radius = stroke.width() / 2;
            for (int i = 0; i < stroke.points().length; i += 2) {
                left = Math.min(left, stroke.points()[i] - radius);
                right = Math.max(right, stroke.points()[i] + radius);
                top = Math.min(top, stroke.points()[i + 1] - radius);
                bottom = Math.max(bottom, stroke.points()[i + 1] + radius);
            }
        }
        return right > left ? new float[] {left, top, right, bottom} : null;
    }

    /** Inks the pixels that lie within `radius` of a line; at its edge by the share of the pixel that it covers. */
    private void rub(float ax, float ay, float bx, float by, float radius) {
        float reach = radius + 0.5f;
        float dx = bx - ax;
        float dy = by - ay;
        float length2 = dx * dx + dy * dy;
        int lastRow = Math.min(size.height() - 1, (int) Math.floor(Math.max(ay, by) + reach));
        int lastColumn = Math.min(size.width() - 1, (int) Math.floor(Math.max(ax, bx) + reach));
        for (int row = Math.max(0, (int) Math.floor(Math.min(ay, by) - reach)); row <= lastRow; row++) {
            for (int column = Math.max(0, (int) Math.floor(Math.min(ax, bx) - reach)); column <= lastColumn; column++) {
                float px = column + 0.5f - ax;
                float py = row + 0.5f - ay;
                float along = length2 == 0 ? 0 : Math.max(0, Math.min(1, (px * dx + py * dy) / length2));
                double off = Math.hypot(px - along * dx, py - along * dy);
                int i = row * size.width() + column;
                boxed[i] = Math.max(boxed[i], (float) Math.max(0, Math.min(1, reach - off)));
            }
        }
    }

    private float[] centreOfMass() {
        float mass = 0;
        float x = 0;
        float y = 0;
        for (int i = 0; i < boxed.length; i++) {
            mass += boxed[i];
            x += boxed[i] * (i % size.width());
            y += boxed[i] * (i / size.width());
        }
        return new float[] {x / mass, y / mass};
    }

    private static int clamp(int value, int low, int high) {
        return Math.max(low, Math.min(high, value));
    }
}
