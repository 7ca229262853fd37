package org.edgewise.app;

import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Rect;
import android.os.Looper;
import android.os.SystemClock;
import android.view.MotionEvent;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import java.io.File;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.function.BooleanSupplier;
import org.edgewise.app.ui.MainActivity;
import org.junit.After;
import org.junit.Before;
import org.junit.runner.RunWith;
import org.robolectric.Robolectric;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;
import org.robolectric.android.controller.ActivityController;
import org.robolectric.annotation.Config;
import org.robolectric.annotation.GraphicsMode;

/** What the app's tests share: a started window, real touch events, waiting, and pictures of what is shown. */
@RunWith(RobolectricTestRunner.class)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
@Config(sdk = 34, qualifiers = "w411dp-h891dp-port-xhdpi")
public abstract class AppCase {
    private static volatile Throwable died; // of a thread of the app
    private static final long PATIENCE_NS = 60_000_000_000L;

    protected ActivityController<MainActivity> controller;

    /** Android would end the process where a thread dies; here that is a failed test, with the reason. */
    @Before
    public void hear() {
        died = null;
        Thread.setDefaultUncaughtExceptionHandler((thread, error) -> {
            died = error;
            error.printStackTrace();
        });
    }

    @After
    public void leave() {
        if (died != null) throw new AssertionError("a thread died", died);
        if (controller != null) controller.close();
    }

    protected App app() {
        return (App) RuntimeEnvironment.getApplication();
    }

    protected Activity start() {
        controller = Robolectric.buildActivity(MainActivity.class).setup();
        idle();
        return controller.get();
    }

    protected Activity activity() {
        return controller.get();
    }

    protected <V extends View> V find(int id) {
        V found = activity().findViewById(id);
        if (found == null) throw new AssertionError("no such view: " + activity().getResources().getResourceName(id));
        return found;
    }

    protected String text(int id) {
        return ((TextView) find(id)).getText().toString();
    }

    protected static void idle() {
        shadowOf(Looper.getMainLooper()).idle();
    }

    /** Waits for what other threads do, while the main thread does its own work. */
    protected static void await(String what, BooleanSupplier done) {
        long end = System.nanoTime() + PATIENCE_NS;
        boolean was = false;
        while (true) {
            idle();
            boolean is = done.getAsBoolean();
            if (is && was) return; // and the main thread has shown what the other one told it meanwhile
            was = is;
            if (died != null) throw new AssertionError("a thread died", died);
            if (System.nanoTime() > end) throw new AssertionError("never happened: " + what);
            try {
                Thread.sleep(10);
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
        }
    }

    /** Shows one of the tabs by a touch. */
    protected void open(int tab) {
        touch(find(tab), 0.5f, 0.5f);
    }

    /** Touches a view at points x, y, ... in shares of its size, as a finger does: through the window, not past it. */
    protected void touch(View view, float... points) {
        scrollTo(view);
        Rect place = new Rect();
        view.getDrawingRect(place);
        ViewGroup root = (ViewGroup) activity().getWindow().getDecorView();
        root.offsetDescendantRectToMyCoords(view, place);
        long began = SystemClock.uptimeMillis();
        for (int i = 0; i < points.length; i += 2) {
            int action = i == 0 ? MotionEvent.ACTION_DOWN : MotionEvent.ACTION_MOVE;
            send(root, began, 8L * i, action, place, points[i], points[i + 1]);
        }
        send(root, began, 8L * points.length, MotionEvent.ACTION_UP, place, points[points.length - 2], points[points.length - 1]);
        idle();
    }

    private void send(View root, long began, long after, int action, Rect place, float x, float y) {
        MotionEvent event = MotionEvent.obtain(began, began + after, action, place.left + x * place.width(), place.top + y * place.height(), 0);
        root.dispatchTouchEvent(event);
        event.recycle();
    }

    private void scrollTo(View view) {
        layOut();
        view.requestRectangleOnScreen(new Rect(0, 0, view.getWidth(), view.getHeight()), true);
        layOut();
    }

    protected void layOut() {
        idle();
        View root = activity().getWindow().getDecorView();
        root.measure(View.MeasureSpec.makeMeasureSpec(root.getWidth(), View.MeasureSpec.EXACTLY),
                View.MeasureSpec.makeMeasureSpec(root.getHeight(), View.MeasureSpec.EXACTLY));
        root.layout(0, 0, root.getWidth(), root.getHeight());
    }

    /** Draws a seven. */
    protected void drawSeven() {
        touch(find(R.id.pad), 0.28f, 0.22f, 0.45f, 0.22f, 0.72f, 0.22f, 0.6f, 0.5f, 0.45f, 0.82f);
    }

    /** Saves a picture of the window. */
    protected void shoot(String name) {
        layOut();
        View root = activity().getWindow().getDecorView();
        Bitmap bitmap = Bitmap.createBitmap(root.getWidth(), root.getHeight(), Bitmap.Config.ARGB_8888);
        root.draw(new Canvas(bitmap));
        File file = new File(System.getProperty("edgewise.screenshots"), name + ".png");
        try (FileOutputStream out = new FileOutputStream(file)) {
            bitmap.compress(Bitmap.CompressFormat.PNG, 100, out);
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }
}
