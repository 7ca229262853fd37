package org.edgewise.app;

import static org.junit.Assert.*;
import static org.robolectric.Shadows.shadowOf;

import android.app.Activity;
import android.content.ClipData;
import android.content.Intent;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Rect;
import android.net.Uri;
import android.os.Looper;
import android.os.SystemClock;
import android.view.MotionEvent;
import android.view.View;
import android.view.ViewGroup;
import android.widget.Spinner;
import android.widget.TextView;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.function.BooleanSupplier;
import org.edgewise.app.bench.Plan;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Refused;
import org.edgewise.app.ui.MainActivity;
import org.edgewise.app.work.Check;
import org.edgewise.app.work.Session;
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
    protected static final String ONNX = "torch_cnn_small-onnx-float32";

    protected ActivityController<MainActivity> controller;

    /** Android would end the process where a thread dies; here that is a failed test, with the reason. */
    @Before
    public void catchDeaths() {
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

    /** Starts the app, draws a seven and waits for what every artifact answers. */
    protected void startWithASeven() {
        start();
        drawSeven();
        awaitAnswers();
    }

    protected Activity activity() {
        return controller.get();
    }

    protected <V extends View> V find(int id) {
        V view = activity().findViewById(id);
        if (view == null) throw new AssertionError("no such view: " + activity().getResources().getResourceName(id));
        return view;
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

    protected void press(int id) {
        touch(find(id), 0.5f, 0.5f);
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

    protected void scrollTo(View view) {
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

    /** Waits until every artifact that answers pictures now has answered. */
    protected void awaitAnswers() {
        Session session = app().session();
        await("every artifact answers", () -> session.shown().stream().allMatch(a -> session.status(a.id()).answer != null));
    }

    protected void check() {
        press(R.id.run_check);
        await("everything is checked", () -> !app().session().checking() && app().session().toCheck() > 0);
    }

    /** Measures artifacts in so many rounds: not the app's 200, for what is timed here means nothing. */
    protected void measure(int rounds, String... ids) {
        app().measuring().begin(new Plan(List.of(ids), Settings.DEFAULT, rounds, 600_000_000_000L, 0));
    }

    /** Measures until it is cancelled; returns once the first rounds are counted. */
    protected void measureWithoutEnd(String id) {
        measure(1_000_000, id);
        await("rounds are counted", () -> app().measuring().progress().done() > 0);
    }

    protected void awaitEnd() {
        await("the benchmark ends", () -> !app().measuring().running());
    }

    protected void cancel() {
        app().measuring().cancel();
        awaitEnd();
    }

    /** Fails where an artifact was not checked, or is neither equal nor within tolerance. */
    protected void assertGood(String id) {
        Session.Status status = app().session().status(id);
        assertNotNull(String.valueOf(status.problem), status.checked);
        assertTrue(List.of(Check.State.EQUAL, Check.State.WITHIN).contains(status.checked.state()));
    }

    /** Lets networks answer whose model has this name. */
    protected void use(String model) {
        Spinner networks = find(R.id.networks);
        int i = 0;
        while (!networks.getItemAtPosition(i).toString().startsWith(model)) i++;
        networks.setSelection(i);
        idle();
    }

    /** Returns a file of those that the tests open. */
    protected static byte[] read(String name) {
        try {
            return Files.readAllBytes(Path.of(System.getProperty("edgewise.opened"), name));
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }

    /** Opens an artifact and its sidecar of those files. */
    protected void openFiles(String id) {
        choose(R.id.open, id + ".json", read(id + ".json"), id + ".onnx", read(id + ".onnx"));
    }

    protected static Bitmap photo(int colour) {
        Bitmap photo = Bitmap.createBitmap(300, 200, Bitmap.Config.ARGB_8888);
        photo.eraseColor(colour);
        return photo;
    }

    protected static byte[] png(Bitmap picture) {
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        picture.compress(Bitmap.CompressFormat.PNG, 100, content);
        return content.toByteArray();
    }

    /** Returns what a line of a card says. */
    protected String card(int number, int line) {
        return ((TextView) ((ViewGroup) find(R.id.cards)).getChildAt(number).findViewById(line)).getText().toString();
    }

    protected static void assertContains(String part, String text) {
        assertTrue(text, text.contains(part));
    }

    protected static String sentence(Refused refused) {
        return refused.sentence(RuntimeEnvironment.getApplication().getResources());
    }

    /** Chooses files in the phone's file app, once a button was touched that asks for some: name, content, name, content, ... */
    protected void choose(int button, Object... files) {
        press(button);
        ClipData chosen = null;
        for (int i = 0; i < files.length; i += 2) {
            Uri uri = Uri.parse("content://files/" + files[i]);
            byte[] content = (byte[]) files[i + 1];
            shadowOf(app().getContentResolver()).registerInputStreamSupplier(uri, () -> new ByteArrayInputStream(content));
            if (chosen == null) chosen = ClipData.newRawUri("", uri);
            else chosen.addItem(new ClipData.Item(uri));
        }
        Intent result = new Intent();
        if (files.length == 2) result.setData(chosen.getItemAt(0).getUri()); // as file apps give a single one
        else result.setClipData(chosen);
        assertEquals(Intent.ACTION_OPEN_DOCUMENT, answer(Activity.RESULT_OK, result));
    }

    /** Answers in place of the app that was asked for something; returns the action that it was asked for. */
    protected String answer(int outcome, Intent result) {
        Intent request = shadowOf(activity()).getNextStartedActivityForResult().intent;
        shadowOf(activity()).receiveResult(request, outcome, result);
        idle();
        return request.getAction();
    }

    /** Presses the share button; returns the file that the chosen app would read. */
    protected byte[] shared() throws IOException {
        press(R.id.share);
        Intent send = shadowOf(activity()).getNextStartedActivity().getParcelableExtra(Intent.EXTRA_INTENT);
        if ((send.getFlags() & Intent.FLAG_GRANT_READ_URI_PERMISSION) == 0) throw new AssertionError("no app may read it");
        Uri uri = send.getParcelableExtra(Intent.EXTRA_STREAM);
        try (InputStream stream = new FileInputStream(app().getContentResolver().openFileDescriptor(uri, "r").getFileDescriptor())) {
            return stream.readAllBytes();
        }
    }

    protected void drawSeven() {
        touch(find(R.id.pad), 0.28f, 0.22f, 0.45f, 0.22f, 0.72f, 0.22f, 0.6f, 0.5f, 0.45f, 0.82f);
    }

    protected void shoot(String name) {
        layOut();
        View root = activity().getWindow().getDecorView();
        Bitmap bitmap = Bitmap.createBitmap(root.getWidth(), root.getHeight(), Bitmap.Config.ARGB_8888);
        root.draw(new Canvas(bitmap));
        try {
            Files.write(Path.of(System.getProperty("edgewise.screenshots"), name + ".png"), png(bitmap));
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }
}
