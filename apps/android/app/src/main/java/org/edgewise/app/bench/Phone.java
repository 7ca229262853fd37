package org.edgewise.app.bench;

import android.content.Context;
import android.content.Intent;
import android.content.IntentFilter;
import android.os.BatteryManager;
import android.os.Build;
import android.os.PowerManager;
import android.system.Os;
import android.system.OsConstants;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;
import java.util.Set;
import org.edgewise.app.Newer;
import org.json.JSONException;
import org.json.JSONObject;

/** What a phone tells of itself, and in what state it is; a time means nothing without it. */
public final class Phone {
    public static final String NAME = "[a-z0-9][a-z0-9._-]{0,39}"; // for results, as the desktop takes it
    private static final String UNKNOWN = "not told";
    private static final Set<String> EMULATED = Set.of("ranchu", "goldfish", "cutf_cvm"); // hardware
    private static final String[] THERMAL = {"none", "light", "moderate", "severe", "critical", "emergency", "shutdown"};

    private final Context context;

    public Phone(Context context) {
        this.context = context;
    }

    /** Returns a name for results, such as pixel-7. */
    public static String suggestedName() {
        String name = Build.MODEL == null ? "" : Build.MODEL.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
        name = name.replaceAll("^-+|-+$", "");
        if (name.isEmpty()) return "phone";
        return name.length() > 40 ? name.substring(0, 40) : name;
    }

    /** Returns an environment as the project's results have it. */
    JSONObject environment() throws JSONException {
        return new JSONObject()
                .put("cpu", soc())
                .put("cpus", Runtime.getRuntime().availableProcessors())
                .put("os", "Android " + Build.VERSION.RELEASE + ", API " + Build.VERSION.SDK_INT)
                .put("machine", Build.SUPPORTED_ABIS.length == 0 ? UNKNOWN : Build.SUPPORTED_ABIS[0])
                .put("date", Instant.now().truncatedTo(ChronoUnit.SECONDS).toString().replace("Z", "+00:00"))
                .put("device", (Build.MANUFACTURER + " " + Build.MODEL).trim())
                .put("kind", EMULATED.contains(Build.HARDWARE) ? "emulator" : "device")
                .put("fingerprint", Build.FINGERPRINT)
                .put("page_bytes", Os.sysconf(OsConstants._SC_PAGESIZE));
    }

    /** Returns the system on a chip, as far as this Android tells it. */
    @Newer
    public static String soc() {
        if (Build.VERSION.SDK_INT >= 31) {
            String state = Build.SOC_MANUFACTURER + " " + Build.SOC_MODEL;
            if (!state.contains(Build.UNKNOWN)) return state;
        }
        return Build.HARDWARE;
    }

    /** Returns how hot the phone says it is; Android tells since version 10. */
    @Newer
    public String thermal() {
        if (Build.VERSION.SDK_INT < 29) return UNKNOWN;
        PowerManager power = context.getSystemService(PowerManager.class);
        int status = power == null ? -1 : power.getCurrentThermalStatus();
        return status < 0 || status >= THERMAL.length ? UNKNOWN : THERMAL[status];
    }

    static boolean throttles(String thermal) {
        return !thermal.equals(THERMAL[0]) && !thermal.equals(UNKNOWN);
    }

    /** Returns the battery's charge and warmth, and whether it is being charged. */
    public String battery() {
        Intent state = context.registerReceiver(null, new IntentFilter(Intent.ACTION_BATTERY_CHANGED));
        int level = state == null ? -1 : state.getIntExtra(BatteryManager.EXTRA_LEVEL, -1);
        int scale = state == null ? -1 : state.getIntExtra(BatteryManager.EXTRA_SCALE, -1);
        if (level < 0 || scale <= 0) return UNKNOWN;
        double warmth = state.getIntExtra(BatteryManager.EXTRA_TEMPERATURE, 0) / 10.0;
        boolean plugged = state.getIntExtra(BatteryManager.EXTRA_PLUGGED, 0) != 0;
        return String.format(Locale.ROOT, "%d %%, %.1f °C, %s", 100 * level / scale, warmth, plugged ? "charging" : "on battery");
    }
}
