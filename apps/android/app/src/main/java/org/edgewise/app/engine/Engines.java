package org.edgewise.app.engine;

import android.content.Context;
import android.system.Os;
import android.system.OsConstants;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Texts;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The engines that were built in, and what the build says of them and of those that were left out. */
public final class Engines {
    private static final int USUAL_PAGE_BYTES = 4096;
    private static final Map<String, String> FORMATS = Map.of(
            ".tflite", "litert", ".onnx", "onnxruntime", ".ort", "onnxruntime", ".pte", "executorch");

    private final List<Engine> engines;
    private final JSONObject build;
    private final long pageBytes;

    public Engines(Context context) {
        this(described(context));
    }

    private Engines(JSONObject build) {
        this(there(Built.engines(), build), build, Os.sysconf(OsConstants._SC_PAGESIZE));
    }

    /** Returns those that the build has a library of for this phone's kind of processor, as it says itself. */
    private static List<Engine> there(List<Engine> all, JSONObject build) {
        JSONObject told = build.optJSONObject("engines");
        List<Engine> there = new ArrayList<>();
        for (Engine engine : all) if (told == null || told.has(engine.id())) there.add(engine);
        return there;
    }

    /** Takes engines, what the build says of itself, and how large this phone's pages are. */
    public Engines(List<Engine> engines, JSONObject build, long pageBytes) {
        this.engines = engines;
        this.build = build;
        this.pageBytes = pageBytes;
    }

    public List<Engine> all() {
        return engines;
    }

    /** Returns the engine of an artifact; refuses one that this build or this phone has none for, with the reason. */
    public Engine of(Sidecar sidecar) throws Refused {
        for (Engine engine : engines) {
            if (!engine.takes(sidecar)) continue;
            JSONArray small = told(engine.id()).optJSONArray("small_pages");
            if (pageBytes > USUAL_PAGE_BYTES && small != null && small.length() > 0) {
                throw new Refused(R.string.small_pages, engine.id(), small.optString(0), (int) (pageBytes / 1024));
            }
            return engine;
        }
        String suffix = sidecar.file.substring(sidecar.file.lastIndexOf('.'));
        String wanted = FORMATS.get(suffix);
        if (wanted == null) throw new Refused(R.string.no_engine, suffix);
        throw new Refused(R.string.engine_left_out, wanted, leftOut().getOrDefault(wanted, ""));
    }

    /** Returns the distribution's name and version of an engine, as the desktop's results have them. */
    public JSONObject versions(String id) {
        try {
            JSONObject told = told(id);
            return new JSONObject().put(told.optString("coordinates", id), told.optString("version", "unknown"));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }

    /** What the build says of an engine: the bytes that it adds to the app, and its libraries whose pages are not of 16 kB. */
    public record BuiltIn(String id, String version, long bytes, List<String> smallPages) {}

    /** Returns the engines that are in this build, with their costs. */
    public List<BuiltIn> builtIn() {
        List<BuiltIn> found = new ArrayList<>();
        for (Engine engine : engines) {
            JSONObject told = told(engine.id());
            JSONArray small = told.optJSONArray("small_pages");
            List<String> names = new ArrayList<>();
            for (int i = 0; small != null && i < small.length(); i++) names.add(small.optString(i));
            found.add(new BuiltIn(engine.id(), told.optString("version", "?"), told.optLong("bytes"), names));
        }
        return found;
    }

    /** Returns the engines that are not in this build, with the reasons. */
    public Map<String, String> leftOut() {
        Map<String, String> out = new TreeMap<>();
        JSONObject told = build.optJSONObject("left_out");
        if (told != null) for (Iterator<String> ids = told.keys(); ids.hasNext(); ) {
            String id = ids.next();
            out.put(id, told.optString(id));
        }
        return out;
    }

    /** Returns the build's digest, which changes with every source and engine. */
    public String build() {
        return build.optString("build", "unknown");
    }

    private JSONObject told(String id) {
        JSONObject all = build.optJSONObject("engines");
        JSONObject told = all == null ? null : all.optJSONObject(id);
        return told == null ? new JSONObject() : told;
    }

    private static JSONObject described(Context context) {
        try {
            return new JSONObject(Texts.read(context.getAssets().open("build.json")));
        } catch (IOException | JSONException error) {
            return new JSONObject(); // opened in Android Studio: nothing is known of the build
        }
    }
}
