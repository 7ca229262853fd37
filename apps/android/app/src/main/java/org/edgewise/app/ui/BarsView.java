package org.edgewise.app.ui;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.util.AttributeSet;
import android.view.View;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.model.Scores;
import org.edgewise.app.model.Sidecar;

/** Probabilities: upright bars of all classes where these are few and short, else lines of the most probable. */
public final class BarsView extends View {
    private static final int UPRIGHT = 12; // classes whose bars have room beside each other, if their names are short
    private static final int SHORT = 2; // characters of such a name
    private static final int LINES = 5;

    private final Paint paint = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final float dp = getResources().getDisplayMetrics().density;
    private Sidecar sidecar;
    private float[] odds; // null before an answer

    public BarsView(Context context, AttributeSet attributes) {
        super(context, attributes);
        float font = getResources().getConfiguration().fontScale;
        paint.setTextSize(getResources().getDimension(R.dimen.small) * Math.min(1, 1.3f / font)); // ten digits must stay side by side
    }

    void show(Sidecar of, float[] shares, String description) {
        if (sidecar != of) requestLayout();
        sidecar = of;
        odds = shares;
        setContentDescription(description);
        invalidate();
    }

    private boolean upright() {
        if (sidecar == null || sidecar.classes() > UPRIGHT) return false;
        for (int i = 0; i < sidecar.classes(); i++) if (sidecar.named(i).length() > SHORT) return false;
        return true;
    }

    private int lines() {
        return sidecar == null ? 0 : Math.min(LINES, sidecar.classes());
    }

    private float lineHeight() {
        return paint.getFontSpacing() + 9 * dp;
    }

    @Override
    protected void onMeasure(int width, int height) {
        float needed = upright() ? 56 * dp + paint.getFontSpacing() : lines() * lineHeight();
        setMeasuredDimension(MeasureSpec.getSize(width), Math.round(needed));
    }

    @Override
    protected void onDraw(Canvas canvas) {
        if (sidecar == null) return;
        if (upright()) drawUpright(canvas);
        else drawLines(canvas);
    }

    private float share(int i) {
        return odds == null || !Float.isFinite(odds[i]) ? 0 : odds[i];
    }

    private void drawUpright(Canvas canvas) {
        float each = (float) getWidth() / sidecar.classes();
        float floor = getHeight() - paint.getFontSpacing() - 2 * dp;
        int top = odds == null ? -1 : Scores.choice(odds);
        paint.setTextAlign(Paint.Align.CENTER);
        for (int i = 0; i < sidecar.classes(); i++) {
            paint.setColor(getContext().getColor(i == top ? R.color.accent : R.color.edge));
            canvas.drawRect(i * each + dp, floor - Math.max(dp, share(i) * floor), (i + 1) * each - dp, floor, paint);
            paint.setColor(getContext().getColor(i == top ? R.color.ink : R.color.soft));
            canvas.drawText(sidecar.named(i), (i + 0.5f) * each, getHeight() - paint.descent(), paint);
        }
    }

    private void drawLines(Canvas canvas) {
        List<Integer> order = new ArrayList<>();
        for (int i = 0; i < sidecar.classes(); i++) order.add(i);
        if (odds != null) order.sort(Comparator.comparingDouble(i -> -share(i)));
        for (int line = 0; line < lines(); line++) {
            int i = order.get(line);
            float base = line * lineHeight() - paint.ascent();
            String percent = odds == null ? "" : Words.percent(share(i));
            paint.setColor(getContext().getColor(line == 0 && odds != null ? R.color.ink : R.color.soft));
            paint.setTextAlign(Paint.Align.RIGHT);
            canvas.drawText(percent, getWidth(), base, paint);
            paint.setTextAlign(Paint.Align.LEFT);
            float room = getWidth() - paint.measureText(percent) - 8 * dp;
            String name = sidecar.named(i);
            int fits = paint.breakText(name, true, room, null);
            canvas.drawText(fits < name.length() ? name.substring(0, Math.max(0, fits - 1)) + "…" : name, 0, base, paint);
            paint.setColor(getContext().getColor(line == 0 && odds != null ? R.color.accent : R.color.edge));
            float under = base + paint.descent();
            if (odds != null) canvas.drawRect(0, under, Math.max(dp, share(i) * getWidth()), under + 4 * dp, paint);
        }
    }
}
