package org.edgewise.app;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertTrue;

import android.os.Build;
import java.util.List;
import org.edgewise.app.bench.Plan;
import org.edgewise.app.engine.Settings;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.annotation.Config;

/** The oldest Android that the app takes, and the one that it is made for: each screen, once. */
@Config(sdk = {Build.VERSION_CODES.O, 35}, qualifiers = "w411dp-h1100dp-port-xhdpi")
public class OtherAndroidsTest extends AppCase {
    private static final String ONNX = "torch_cnn_small-onnx-float32";

    @Test
    public void theScreensWorkThereToo() throws Exception {
        String name = "android-" + Build.VERSION.SDK_INT + "-";
        start();
        drawSeven();
        awaitAnswers();
        shoot(name + "compare");
        assertEquals("All 6 answer 7.", text(R.id.verdict));

        open(R.id.tab_check);
        check();
        shoot(name + "check");
        assertTrue(text(R.id.summary), text(R.id.summary).endsWith("0 different, 0 failed, 0 not checkable here"));

        open(R.id.tab_benchmark);
        app().measuring().begin(new Plan(List.of(ONNX), Settings.DEFAULT, 3, 60_000_000_000L, 0));
        await("the benchmark ends", () -> !app().measuring().running());
        shoot(name + "benchmark");
        JSONObject row = app().measuring().rows().get(0);
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(row.getInt("total"), row.getInt("agree"), 1);

        controller.recreate(); // as a rotation does
        idle();
        assertFalse(app().measuring().rows().isEmpty());
    }
}
