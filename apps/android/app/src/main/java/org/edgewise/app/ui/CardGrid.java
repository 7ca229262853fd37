package org.edgewise.app.ui;

import android.content.Context;
import android.util.AttributeSet;
import android.view.View;
import android.view.ViewGroup;
import org.edgewise.app.R;

/** Cards in as many columns of equal width as there is room for; wider columns for larger fonts. */
public final class CardGrid extends ViewGroup {
    private final int gap = getResources().getDimensionPixelSize(R.dimen.gap);

    public CardGrid(Context context, AttributeSet attributes) {
        super(context, attributes);
    }

    private int columns(int width) {
        // by the scale of fonts itself: since Android 14 sizes in sp grow the less, the larger they are
        float scale = Math.max(1, getResources().getConfiguration().fontScale);
        int least = Math.round(getResources().getDimensionPixelSize(R.dimen.card) * scale);
        return Math.max(1, (width + gap) / (least + gap));
    }

    @Override
    protected void onMeasure(int widthSpec, int heightSpec) {
        int width = MeasureSpec.getSize(widthSpec);
        int columns = columns(width);
        int each = MeasureSpec.makeMeasureSpec((width - gap * (columns - 1)) / columns, MeasureSpec.EXACTLY);
        int height = 0;
        for (int first = 0; first < getChildCount(); first += columns) {
            int row = 0;
            for (int i = first; i < Math.min(first + columns, getChildCount()); i++) {
                getChildAt(i).measure(each, MeasureSpec.makeMeasureSpec(0, MeasureSpec.UNSPECIFIED));
                row = Math.max(row, getChildAt(i).getMeasuredHeight());
            }
            for (int i = first; i < Math.min(first + columns, getChildCount()); i++) {
                getChildAt(i).measure(each, MeasureSpec.makeMeasureSpec(row, MeasureSpec.EXACTLY));
            }
            height += row + (first == 0 ? 0 : gap);
        }
        setMeasuredDimension(width, height);
    }

    @Override
    protected void onLayout(boolean changed, int left, int top, int right, int bottom) {
        int columns = columns(right - left);
        int y = 0;
        for (int i = 0; i < getChildCount(); i++) {
            View child = getChildAt(i);
            int column = i % columns;
            if (i > 0 && column == 0) y += getChildAt(i - 1).getMeasuredHeight() + gap;
            int x = column * (child.getMeasuredWidth() + gap);
            child.layout(x, y, x + child.getMeasuredWidth(), y + child.getMeasuredHeight());
        }
    }
}
