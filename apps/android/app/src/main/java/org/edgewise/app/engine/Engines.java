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

/** The engines that were built in, what the build says of all of them, and the size of this phone's pages. */
public record Engines(List<Engine> all, JSONObject described, long pageBytes) {
    private static final int USUAL_PAGE_BYTES = 4096;
    private static final long STACK_BYTES = 16L << 20; // ONNX Runtime, where it was tried, needs more to load a network than Java gives by default
    private static final Map<String, String> FORMATS = Map.of(
            ".tflite", "litert", ".onnx", "onnxruntime", ".ort", "onnxruntime", ".pte", "executorch");

    /** Returns those that the build has a library of for this phone's kind of processor, as it says itself. */
    public static Engines here(Context context) {
        JSONObject described = described(context);
        JSONObject facts = described.optJSONObject("engines");
        List<Engine> there = new ArrayList<>(Built.engines());
        there.removeIf(engine -> facts != null && !facts.has(engine.id()));
        return new Engines(there, described, Os.sysconf(OsConstants._SC_PAGESIZE));
    }

    /** Returns the engine of an artifact, by its file's ending; refuses one that this build or phone has none for, with the reason. */
    public Engine of(Sidecar sidecar) throws Refused {
        String suffix = sidecar.file.substring(sidecar.file.lastIndexOf('.'));
        String id = FORMATS.get(suffix);
        if (id == null) throw new Refused(R.string.no_engine, suffix);
        for (Engine engine : all) if (engine.id().equals(id)) return loadable(engine);
        throw new Refused(R.string.engine_left_out, id, leftOut().getOrDefault(id, ""));
    }

    private Engine loadable(Engine engine) throws Refused {
        List<String> small = facts(engine.id()).smallPages();
        if (pageBytes > USUAL_PAGE_BYTES && !small.isEmpty()) {
            throw new Refused(R.string.small_pages, engine.id(), small.get(0), (int) (pageBytes / 1024));
        }
        return engine;
    }

    /** Returns a thread that engines can run in. */
    public static Thread thread(String name, Runnable task) {
        return new Thread(null, task, name, STACK_BYTES);
    }

    /** Returns the distribution's name and version of an engine, as the desktop's results have them. */
    public JSONObject versions(String id) {
        Facts facts = facts(id);
        return new JSONObject(Map.of(facts.coordinates(), facts.version().isEmpty() ? "unknown" : facts.version()));
    }

    /**
     * What the build says of an engine: its version, "" where it says none, the bytes that it adds to the app, and its libraries
     * whose pages are not of 16 kB.
     */
    public record Facts(String coordinates, String version, long bytes, List<String> smallPages) {}

    public Facts facts(String id) {
        JSONObject engines = described.optJSONObject("engines");
        JSONObject facts = engines == null ? null : engines.optJSONObject(id);
        if (facts == null) facts = new JSONObject();
        JSONArray small = facts.optJSONArray("small_pages");
        List<String> names = new ArrayList<>();
        for (int i = 0; small != null && i < small.length(); i++) names.add(small.optString(i));
        return new Facts(facts.optString("coordinates", id), facts.optString("version"), facts.optLong("bytes"), names);
    }

    /** Returns the engines that are not in this build, with the reasons. */
    public Map<String, String> leftOut() {
        Map<String, String> out = new TreeMap<>();
        JSONObject facts = described.optJSONObject("left_out");
        if (facts != null) for (Iterator<String> ids = facts.keys(); ids.hasNext(); ) {
            String id = ids.next();
            out.put(id, facts.optString(id));
        }
        return out;
    }

    /** Returns the build's digest, which changes with every source and engine. */
    public String build() {
        return described.optString("build", "unknown");
    }

    private static JSONObject described(Context context) {
        try {
            return new JSONObject(Texts.read(context.getAssets().open("build.json")));
        } catch (IOException | JSONException error) {
            return new JSONObject(); // opened in Android Studio: nothing is known of the build
        }
    }
}
