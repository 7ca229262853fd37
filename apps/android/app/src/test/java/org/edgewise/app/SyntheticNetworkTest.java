package org.edgewise.app;

import static org.junit.Assert.*;

import android.widget.EditText;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.List;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Sidecar;
import org.json.JSONArray;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.annotation.Config;

/** Networks that are none of the project's, through every screen: other sizes, channels, classes, layouts and batches. */
@Config(qualifiers = "w411dp-h1300dp-port-xhdpi")
public class SyntheticNetworkTest extends AppCase {
    private static final String FRUIT = "fruit-onnx-float32";
    private static final String RIPENESS = "ripeness-onnx-float32";

    private JSONObject measured(String id) {
        press(R.id.tab_benchmark);
        measure(12, id);
        awaitEnd();
        return app().measuring().rows().get(0);
    }

    /** Colour bytes of 16×12, seven named classes, channels last; packed with its evaluation images. */
    @Test
    public void coloursAndNamedClassesGoThroughEveryScreenAndIntoTheReport() throws Exception {
        start();
        use("fruit");
        choose(R.id.choose, "photo.png", png(photo(0xff3366cc)));
        awaitAnswers();
        Sidecar sidecar = app().session().artifact(FRUIT).sidecar();
        assertTrue(card(0, R.id.label), sidecar.labels.contains(card(0, R.id.label)));
        assertEquals("It answers " + card(0, R.id.label) + ".", text(R.id.verdict));

        press(R.id.tab_check);
        check();
        assertGood(FRUIT);

        JSONObject row = measured(FRUIT);
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(40, row.getInt("total"));
        assertEquals(40, row.getInt("agree"));
        ((EditText) find(R.id.device)).setText("robolectric");
        byte[] shared = shared();
        assertEquals(1, new JSONArray(new String(shared, StandardCharsets.UTF_8)).length());
        Files.write(new File(System.getProperty("edgewise.exported"), "synthetic.json").toPath(), shared);
    }

    /** Colour floats of 10×14 from -1 to 1, two classes, channels first, four images at once; opened from files. */
    @Test
    public void floatsChannelsFirstAndSeveralImagesAtOnce() throws Exception {
        start();
        press(R.id.tab_check);
        openFiles(RIPENESS);
        assertEquals(RIPENESS + " is here now.", text(R.id.open_status));
        check();
        assertGood(RIPENESS);

        press(R.id.tab_compare);
        use("ripeness");
        choose(R.id.choose, "red.png", png(photo(0xffff0000)));
        awaitAnswers();
        shoot("compare-synthetic");
        Picture seen = app().session().picture();
        assertEquals(1, seen.value(0), 1e-6);
        assertEquals(-1, seen.value(1), 1e-6);
        assertTrue(card(0, R.id.label), List.of("ripe", "unripe").contains(card(0, R.id.label)));

        JSONObject row = measured(RIPENESS);
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(12, row.getJSONArray("latencies_ns").length());
        assertFalse("it has no evaluation images here", row.has("answers"));
        press(R.id.share);
        assertTrue(text(R.id.bench_status), text(R.id.bench_status).startsWith("None of these was judged"));
        shoot("benchmark-synthetic");
    }
}
