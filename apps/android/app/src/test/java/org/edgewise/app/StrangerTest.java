package org.edgewise.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.graphics.Bitmap;
import android.view.ViewGroup;
import android.widget.EditText;
import android.widget.TextView;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import org.edgewise.app.bench.Plan;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.work.Check;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.annotation.Config;

/** Networks that are none of the project's, through every screen: other sizes, channels, classes, layouts and batches. */
@Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
public class StrangerTest extends AppCase {
    private static final String FRUIT = "fruit-onnx-float32";
    private static final String RIPENESS = "ripeness-onnx-float32";

    private static byte[] photo(int colour) {
        Bitmap photo = Bitmap.createBitmap(300, 200, Bitmap.Config.ARGB_8888);
        photo.eraseColor(colour);
        ByteArrayOutputStream png = new ByteArrayOutputStream();
        photo.compress(Bitmap.CompressFormat.PNG, 100, png);
        return png.toByteArray();
    }

    private JSONObject measured(String id) {
        open(R.id.tab_benchmark);
        app().measuring().begin(new Plan(List.of(id), Settings.DEFAULT, 12, 60_000_000_000L, 0));
        await("the benchmark ends", () -> !app().measuring().running());
        return app().measuring().rows().get(0);
    }

    private String firstCard(int id) {
        ViewGroup cards = find(R.id.cards);
        return ((TextView) cards.getChildAt(0).findViewById(id)).getText().toString();
    }

    /** Colour bytes of 16×12, seven named classes, channels last; packed with its evaluation images. */
    @Test
    public void coloursAndNamedClassesGoThroughEveryScreenAndIntoTheReport() throws Exception {
        start();
        use("fruit");
        choose(R.id.choose, "photo.png", photo(0xff3366cc));
        awaitAnswers();
        Sidecar sidecar = app().session().artifact(FRUIT).sidecar;
        assertTrue(firstCard(R.id.label), sidecar.labels.contains(firstCard(R.id.label)));
        assertEquals("It answers " + firstCard(R.id.label) + ".", text(R.id.verdict));

        open(R.id.tab_check);
        check();
        assertFalse(app().session().status(FRUIT).checked.state() == Check.State.DIFFERENT);

        JSONObject row = measured(FRUIT);
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(40, row.getInt("total"));
        assertEquals(40, row.getInt("agree"));
        ((EditText) find(R.id.device)).setText("robolectric");
        byte[] shared = shared();
        assertEquals(1, new JSONArray(new String(shared, StandardCharsets.UTF_8)).length());
        Files.write(new File(System.getProperty("edgewise.exported"), "strangers.json").toPath(), shared);
    }

    /** Colour floats of 10×14 from -1 to 1, two classes, channels first, four images at once; opened from files. */
    @Test
    public void floatsChannelsFirstAndSeveralImagesAtOnce() throws Exception {
        start();
        open(R.id.tab_check);
        choose(R.id.open, RIPENESS + ".json", read(RIPENESS + ".json"), RIPENESS + ".onnx", read(RIPENESS + ".onnx"));
        assertEquals(RIPENESS + " is here now.", text(R.id.open_status));
        check();
        Check.Checked checked = app().session().status(RIPENESS).checked;
        assertTrue(String.valueOf(app().session().status(RIPENESS).problem), checked != null);
        assertFalse(checked.state() == Check.State.DIFFERENT);

        open(R.id.tab_compare);
        use("ripeness");
        choose(R.id.choose, "red.png", photo(0xffff0000));
        awaitAnswers();
        shoot("compare-stranger");
        Picture seen = app().session().picture();
        assertEquals(1, seen.value(0), 1e-6);
        assertEquals(-1, seen.value(1), 1e-6);
        assertTrue(firstCard(R.id.label), List.of("ripe", "unripe").contains(firstCard(R.id.label)));

        JSONObject row = measured(RIPENESS);
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(12, row.getJSONArray("latencies_ns").length());
        assertFalse("it has no evaluation images here", row.has("answers"));
        touch(find(R.id.share), 0.5f, 0.5f);
        assertTrue(text(R.id.bench_status), text(R.id.bench_status).startsWith("None of these was judged"));
        shoot("benchmark-stranger");
    }
}
