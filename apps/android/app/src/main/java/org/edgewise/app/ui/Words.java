package org.edgewise.app.ui;

import android.content.res.Resources;
import java.util.Locale;
import org.edgewise.app.R;
import org.edgewise.app.work.Check;

/** What the screens say, in words, figures and colours. */
final class Words {
    private Words() {}

    /** Returns an artifact's name that may break at its dashes and underscores: it has no spaces, and fonts may be large. */
    static String breakable(String id) {
        return id.replace("_", "_\u200b").replace("-", "-\u200b");
    }

    static String sentence(Resources resources, Check.Checked checked) {
        return switch (checked.state()) {
            case EQUAL -> resources.getString(R.string.check_equal);
            case WITHIN -> resources.getString(R.string.check_within, Check.shown(checked.difference()));
            case DIFFERENT -> resources.getString(R.string.check_different, checked.wrong().sentence(resources));
            case NONE -> checked.wrong().sentence(resources);
        };
    }

    static int colour(Check.State state) {
        return switch (state) {
            case EQUAL, WITHIN -> R.color.good;
            case DIFFERENT -> R.color.bad;
            case NONE -> R.color.soft;
        };
    }

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
