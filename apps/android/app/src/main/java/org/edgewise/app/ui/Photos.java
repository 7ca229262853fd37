package org.edgewise.app.ui;

import android.content.ContentResolver;
import android.content.res.Resources;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.Canvas;
import android.graphics.Matrix;
import android.graphics.Paint;
import android.graphics.drawable.BitmapDrawable;
import android.graphics.drawable.Drawable;
import android.media.ExifInterface;
import android.net.Uri;
import java.io.IOException;
import java.io.InputStream;
import org.edgewise.app.R;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Size;

/** Photographs to what networks take, and what they take to something to look at. */
final class Photos {
    private static final int MOST_SIDE = 2048; // of a photograph in memory
    private static final int MOST_SQUARES = 128; // side by side, of a picture that is shown

    private Photos() {}

    /** Reads a picture from the phone's files, upright; refuses what is none. */
    static Bitmap read(ContentResolver resolver, Uri uri) throws Refused {
        try {
            BitmapFactory.Options bounds = new BitmapFactory.Options();
            bounds.inJustDecodeBounds = true;
            decode(resolver, uri, bounds);
            BitmapFactory.Options options = new BitmapFactory.Options();
            options.inSampleSize = Math.max(1, Integer.highestOneBit(Math.max(bounds.outWidth, bounds.outHeight) / MOST_SIDE));
            Bitmap bitmap = decode(resolver, uri, options);
            if (bitmap == null) throw new Refused(R.string.not_a_picture);
            return upright(resolver, uri, bitmap);
        } catch (IOException | SecurityException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        } catch (OutOfMemoryError error) {
            throw new Refused(error, R.string.picture_too_large);
        }
    }

    private static Bitmap decode(ContentResolver resolver, Uri uri, BitmapFactory.Options options) throws IOException {
        try (InputStream stream = resolver.openInputStream(uri)) {
            return BitmapFactory.decodeStream(stream, null, options);
        }
    }

    private static Bitmap upright(ContentResolver resolver, Uri uri, Bitmap bitmap) throws IOException {
        int degrees;
        try (InputStream stream = resolver.openInputStream(uri)) {
            int orientation = new ExifInterface(stream).getAttributeInt(ExifInterface.TAG_ORIENTATION, ExifInterface.ORIENTATION_NORMAL);
            degrees = orientation == ExifInterface.ORIENTATION_ROTATE_90 ? 90
                    : orientation == ExifInterface.ORIENTATION_ROTATE_180 ? 180 : orientation == ExifInterface.ORIENTATION_ROTATE_270 ? 270 : 0;
        } catch (IOException | RuntimeException error) {
            degrees = 0; // a format without such a note
        }
        if (degrees == 0) return bitmap;
        Matrix turn = new Matrix();
        turn.postRotate(degrees);
        return Bitmap.createBitmap(bitmap, 0, 0, bitmap.getWidth(), bitmap.getHeight(), turn, true);
    }

    /** Returns the middle of a photograph, resized to what a network takes; floats are spread over the range that it takes. */
    static Picture picture(Bitmap photo, Sidecar sidecar) {
        Size size = sidecar.size;
        int[] pixels = new int[size.height() * size.width()];
        resized(photo, size).getPixels(pixels, 0, size.width(), 0, 0, size.width(), size.height());
        byte[] bytes = new byte[size.count()];
        for (int i = 0; i < pixels.length; i++) {
            int red = pixels[i] >> 16 & 255;
            int green = pixels[i] >> 8 & 255;
            int blue = pixels[i] & 255;
            if (size.channels() == 1) {
                bytes[i] = (byte) Math.round(0.299f * red + 0.587f * green + 0.114f * blue);
            } else {
                bytes[3 * i] = (byte) red;
                bytes[3 * i + 1] = (byte) green;
                bytes[3 * i + 2] = (byte) blue;
            }
        }
        return Range.picture(bytes, sidecar);
    }

    private static Bitmap resized(Bitmap photo, Size size) {
        float scale = Math.max((float) size.width() / photo.getWidth(), (float) size.height() / photo.getHeight());
        // halved until one step of filtering is enough, which looks at four pixels only
        Bitmap source = photo;
        while (scale < 0.5f) {
            source = Bitmap.createScaledBitmap(source, Math.max(1, source.getWidth() / 2), Math.max(1, source.getHeight() / 2), true);
            scale *= 2;
        }
        Bitmap result = Bitmap.createBitmap(size.width(), size.height(), Bitmap.Config.ARGB_8888);
        Matrix matrix = new Matrix();
        float exact = Math.max((float) size.width() / source.getWidth(), (float) size.height() / source.getHeight());
        matrix.postScale(exact, exact);
        matrix.postTranslate((size.width() - source.getWidth() * exact) / 2, (size.height() - source.getHeight() * exact) / 2);
        new Canvas(result).drawBitmap(source, matrix, new Paint(Paint.FILTER_BITMAP_FLAG));
        return result;
    }

    /** Returns a picture to look at, its values spread from the darkest to the brightest; each pixel of a small one is a square. */
    static Drawable shown(Resources resources, Picture picture) {
        float low = picture.isBytes() ? 0 : Float.POSITIVE_INFINITY;
        float high = picture.isBytes() ? 1 : Float.NEGATIVE_INFINITY;
        for (int i = 0; !picture.isBytes() && i < picture.count(); i++) {
            low = Math.min(low, picture.value(i));
            high = Math.max(high, picture.value(i));
        }
        int channels = picture.size().channels();
        float span = high > low ? high - low : 1;
        int[] colours = new int[picture.size().height() * picture.size().width()];
        for (int i = 0; i < colours.length; i++) {
            int colour = 255;
            for (int c = 0; c < 3; c++) {
                float value = picture.value(i * channels + Math.min(c, channels - 1));
                colour = colour << 8 | Math.round(255 * Math.max(0, Math.min(1, (value - low) / span)));
            }
            colours[i] = colour;
        }
        Bitmap bitmap = Bitmap.createBitmap(colours, picture.size().width(), picture.size().height(), Bitmap.Config.ARGB_8888);
        BitmapDrawable drawable = new BitmapDrawable(resources, bitmap);
        drawable.setFilterBitmap(bitmap.getWidth() > MOST_SQUARES);
        return drawable;
    }
}
