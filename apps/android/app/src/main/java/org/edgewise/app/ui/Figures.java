package org.edgewise.app.ui;

import java.util.Locale;

/** Figures as a person reads them. */
final class Figures {
    private Figures() {}

    static String duration(double nanoseconds) {
        double ms = nanoseconds / 1e6;
        if (ms < 0.95) return Math.round(ms * 1000) + " µs";
        return String.format(Locale.ROOT, ms < 10_000 ? "%.1f ms" : "%.0f ms", ms);
    }

    static String percent(double share) {
        return share > 0.9995 && share < 1 ? "> 99.9 %" : String.format(Locale.ROOT, "%.1f %%", share * 100);
    }

    /** Returns a count as a share of a total, exact enough to see one image of 10,000. */
    static String share(int count, int total) {
        return total == 0 ? "–" : String.format(Locale.ROOT, "%.2f %%", 100.0 * count / total);
    }

    static String bytes(long bytes) {
        return bytes < 1_000_000 ? String.format(Locale.ROOT, "%,d kB", Math.round(bytes / 1e3))
                : String.format(Locale.ROOT, "%.1f MB", bytes / 1e6);
    }
}
