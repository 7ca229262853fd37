package org.edgewise.app;

import static org.junit.Assert.*;

import android.os.Build;
import org.json.JSONObject;
import org.junit.Test;
import org.robolectric.annotation.Config;

/** The oldest Android that the app takes, and the one that it is made for: each screen, once. */
@Config(sdk = {Build.VERSION_CODES.O, 35}, qualifiers = "w411dp-h1100dp-port-xhdpi")
public class OtherAndroidsTest extends AppCase {
    @Test
    public void theScreensWorkThereToo() throws Exception {
        String name = "android-" + Build.VERSION.SDK_INT + "-";
        startWithASeven();
        shoot(name + "compare");
        assertEquals("All 6 answer 7.", text(R.id.verdict));

        press(R.id.tab_check);
        check();
        shoot(name + "check");
        assertTrue(text(R.id.summary), text(R.id.summary).endsWith("0 different, 0 failed, 0 not checkable here"));

        press(R.id.tab_benchmark);
        measure(3, ONNX);
        awaitEnd();
        shoot(name + "benchmark");
        JSONObject row = app().measuring().rows().get(0);
        assertEquals(row.toString(), "ok", row.getString("outcome"));
        assertEquals(row.getInt("total"), row.getInt("agree"), 1);

        controller.recreate(); // as a rotation does
        idle();
        assertFalse(app().measuring().rows().isEmpty());
    }
}
