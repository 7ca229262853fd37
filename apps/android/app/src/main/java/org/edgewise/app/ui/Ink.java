package org.edgewise.app.ui;

import android.graphics.RectF;
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
        RectF edges = bounds(strokes);
        return edges.isEmpty() ? null : new Ink(size, new float[size.count()]).draw(strokes, edges);
    }

    private byte[] draw(List<Stroke> strokes, RectF edges) {
        float box = SHARE * Math.min(size.width(), size.height());
        float scale = box / Math.max(edges.width(), edges.height());
        float width = edges.width() * scale;
        float height = edges.height() * scale;
        float left = (size.width() - width) / 2;
        float top = (size.height() - height) / 2;
        for (Stroke stroke : strokes) {
            float[] p = stroke.points();
            for (int i = 0; i < p.length; i += 2) {
                int from = Math.max(i - 2, 0);
                rub((p[from] - edges.left) * scale + left, (p[from + 1] - edges.top) * scale + top,
                        (p[i] - edges.left) * scale + left, (p[i + 1] - edges.top) * scale + top, stroke.width() * scale / 2);
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

    private static RectF bounds(List<Stroke> strokes) {
        RectF edges = new RectF();
        for (Stroke stroke : strokes) {
            float[] p = stroke.points();
            float radius = stroke.width() / 2;
            for (int i = 0; i < p.length; i += 2) edges.union(p[i] - radius, p[i + 1] - radius, p[i] + radius, p[i + 1] + radius);
        }
        return edges;
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
