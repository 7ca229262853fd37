package org.edgewise.app.ui;

import android.content.res.Resources;
import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.engine.Engines;

/** What this build holds: each engine with what it costs, and those that were left out. */
final class BuildFacts {
    private BuildFacts() {}

    static String text(Engines engines, Resources resources) {
        List<String> lines = new ArrayList<>();
        for (Engines.BuiltIn one : engines.builtIn()) {
            String line = resources.getString(R.string.engine_cost, one.id(), one.version(), Figures.bytes(one.bytes()));
            if (!one.smallPages().isEmpty()) {
                line += resources.getString(R.string.engine_small_pages, String.join(", ", one.smallPages()));
            }
            lines.add(line);
        }
        engines.leftOut().forEach((id, why) -> lines.add(resources.getString(R.string.engine_out, id, why)));
        lines.add(resources.getString(R.string.build, engines.build()));
        return String.join("\n", lines);
    }
}
