package org.edgewise.app.ui;

import android.content.res.Resources;
import android.view.View;
import android.widget.TextView;
import org.edgewise.app.R;
import org.edgewise.app.model.Tensors;
import org.edgewise.app.work.Check;

/** What a check found, in words and colours. */
final class Words {
    private Words() {}

    /** Shows a check's outcome in a line; the line is hidden before there is one. */
    static void check(TextView line, Check.Checked checked) {
        line.setVisibility(checked == null ? View.GONE : View.VISIBLE);
        if (checked == null) return;
        line.setText(told(line.getResources(), checked));
        line.setTextColor(line.getContext().getColor(colour(checked.state())));
    }

    static String told(Resources resources, Check.Checked checked) {
        return switch (checked.state()) {
            case EQUAL -> resources.getString(R.string.check_equal);
            case WITHIN -> resources.getString(R.string.check_within, Tensors.shown(checked.difference()));
            case DIFFERENT -> resources.getString(R.string.check_different, checked.wrong().told(resources));
            case NONE -> checked.wrong().told(resources);
        };
    }

    static int colour(Check.State state) {
        return switch (state) {
            case EQUAL, WITHIN -> R.color.good;
            case DIFFERENT -> R.color.bad;
            case NONE -> R.color.soft;
        };
    }
}
