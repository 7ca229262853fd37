package org.edgewise.app.ui;

import android.content.Context;
import android.graphics.Canvas;
import android.graphics.Paint;
import android.graphics.Path;
import android.util.AttributeSet;
import android.view.MotionEvent;
import android.view.View;
import android.widget.SeekBar;
import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.R;

/** A square to draw on with a finger or pen; strokes are kept in shares of its side, so that a rotation keeps them. */
public final class PadView extends View {
    private final Paint ink = new Paint(Paint.ANTI_ALIAS_FLAG);
    private final Path path = new Path();
    private List<Ink.Stroke> strokes = new ArrayList<>();
    private List<Float> points; // of the stroke that is being drawn
    private SeekBar brush;
    private Runnable drawn;

    public PadView(Context context, AttributeSet attributes) {
        super(context, attributes);
        ink.setColor(context.getColor(R.color.ink));
        ink.setStyle(Paint.Style.STROKE);
        ink.setStrokeCap(Paint.Cap.ROUND);
        ink.setStrokeJoin(Paint.Join.ROUND);
    }

    /** Takes what says how wide strokes are, from 5 to 16 % of the pad, and what to do after each. */
    void connect(SeekBar width, Runnable action) {
        brush = width;
        drawn = action;
    }

    List<Ink.Stroke> strokes() {
        return strokes;
    }

    void show(List<Ink.Stroke> shown) {
        strokes = shown;
        invalidate();
    }

    void undo() {
        if (strokes.isEmpty()) return;
        strokes.remove(strokes.size() - 1);
        changed();
    }

    void clear() {
        strokes.clear();
        changed();
    }

    private void changed() {
        invalidate();
        drawn.run();
    }

    @Override
    protected void onMeasure(int width, int height) {
        int side = MeasureSpec.getSize(width);
        int most = Math.round(getResources().getDisplayMetrics().heightPixels * 0.62f); // so that the page can be scrolled beside it
        side = Math.min(side, Math.min(most, getResources().getDimensionPixelSize(R.dimen.pad)));
        setMeasuredDimension(side, side);
    }

    @Override
    public boolean onTouchEvent(MotionEvent event) {
        switch (event.getActionMasked()) {
            case MotionEvent.ACTION_DOWN -> {
                getParent().requestDisallowInterceptTouchEvent(true); // a stroke must not scroll the page
                points = new ArrayList<>();
                add(event);
            }
            case MotionEvent.ACTION_MOVE -> add(event);
            case MotionEvent.ACTION_UP -> {
                add(event);
                performClick();
            }
            case MotionEvent.ACTION_CANCEL -> {
                points = null;
                invalidate();
            }
            default -> { }
        }
        return true;
    }

    @Override
    public boolean performClick() {
        super.performClick();
        if (points == null) return true;
        strokes.add(stroke());
        points = null;
        changed();
        return true;
    }

    private void add(MotionEvent event) {
        if (points == null) return;
        for (int i = 0; i < event.getHistorySize(); i++) add(event.getHistoricalX(i), event.getHistoricalY(i));
        add(event.getX(), event.getY());
        invalidate();
    }

    private void add(float x, float y) {
        points.add(x / getWidth());
        points.add(y / getHeight());
    }

    private Ink.Stroke stroke() {
        float[] line = new float[points.size()];
        for (int i = 0; i < line.length; i++) line[i] = points.get(i);
        return new Ink.Stroke(line, (5 + brush.getProgress()) / 100f);
    }

    @Override
    protected void onDraw(Canvas canvas) {
        for (Ink.Stroke stroke : strokes) draw(canvas, stroke);
        if (points != null) draw(canvas, stroke());
    }

    private void draw(Canvas canvas, Ink.Stroke stroke) {
        float side = getWidth();
        float[] line = stroke.points();
        path.rewind();
        path.moveTo(line[0] * side, line[1] * side);
        for (int i = 2; i < line.length; i += 2) path.lineTo(line[i] * side, line[i + 1] * side);
        if (line.length == 2) path.lineTo(line[0] * side + 0.01f, line[1] * side);
        ink.setStrokeWidth(stroke.width() * side);
        canvas.drawPath(path, ink);
    }
}
