package org.edgewise.app.ui;

import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.ColorFilter;
import android.graphics.Paint;
import android.graphics.PixelFormat;
import android.graphics.drawable.Drawable;

/** A small picture drawn large, each pixel a square. */
final class Pixels extends Drawable {
    private static final int SIDE = 512; // asked for; the view that shows it scales it anyway

    private final Bitmap bitmap;
    private final Paint paint = new Paint(); // which does not filter

    Pixels(Bitmap bitmap) {
        this.bitmap = bitmap;
        paint.setFilterBitmap(bitmap.getWidth() > SIDE / 4);
    }

    @Override
    public void draw(Canvas canvas) {
        canvas.drawBitmap(bitmap, null, getBounds(), paint);
    }

    @Override
    public int getIntrinsicWidth() {
        return SIDE;
    }

    @Override
    public int getIntrinsicHeight() {
        return SIDE * bitmap.getHeight() / bitmap.getWidth();
    }

    @Override
    public void setAlpha(int alpha) {
        paint.setAlpha(alpha);
    }

    @Override
    public void setColorFilter(ColorFilter filter) {
        paint.setColorFilter(filter);
    }

    @Override
    public int getOpacity() {
        return PixelFormat.OPAQUE;
    }
}
