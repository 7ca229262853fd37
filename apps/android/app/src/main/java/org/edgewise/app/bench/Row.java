package org.edgewise.app.bench;

import java.util.List;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.work.Running;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** One result as the project's desktop reads it. */
public final class Row {
    public static final String NOT_KNOWN = "not known"; // what an engine does not tell, as the desktop's report has it

    private final JSONObject content = new JSONObject();
    private final JSONArray notes = new JSONArray();

    /** Begins the row of an artifact that an engine was meant for. */
    Row(Sidecar sidecar, String runtime, Engines engines, Settings settings, Phone phone) throws JSONException {
        JSONObject environment = phone.environment().put("runtime", engines.versions(runtime)).put("build", engines.build());
        environment.put("engine_bytes", engines.facts(runtime).bytes()).put("accelerator", settings.accelerator().id);
        content.put("artifact", sidecar.id).put("runtime", runtime).put("threads", settings.threads());
        content.put("suffix", settings.suffix()).put("notes", notes).put("environment", environment);
    }

    Row failed(String outcome, String reason) throws JSONException {
        content.put("outcome", outcome).put("reason", reason);
        return this;
    }

    /** Takes what was measured; `ran` is null where the engine does not tell what ran where. */
    void measured(Running running, Rounds.Timed timed, Judged judged, long firstNs, String ran) throws JSONException {
        content.put("outcome", "ok").put("reason", "");
        content.put("artifact_sha256", running.sidecar().sha256);
        content.put("load_ns", running.loadNs()).put("first_ns", firstNs);
        content.put("latencies_ns", new JSONArray(timed.samplesNs()));
        content.getJSONObject("environment").put("ran", ran == null ? NOT_KNOWN : ran);
        if (judged == null) return;
        content.put("total", judged.total()).put("correct", judged.right()).put("agree", judged.alike());
        content.put("answers", judged.logits());
    }

    void note(String text) {
        notes.put(text);
    }

    /** Tells what the phone was like before and after; a phone that throttled is noted. */
    Row conditions(String[] before, String[] after, String throttled) throws JSONException {
        JSONObject environment = content.getJSONObject("environment");
        environment.put("thermal_status", before[0] + " before, " + after[0] + " after");
        environment.put("battery", before[1] + " before, " + after[1] + " after");
        if (Phone.throttles(before[0]) || Phone.throttles(after[0])) note(throttled);
        return this;
    }

    /** Returns rows under a device's name, as the shared file holds them; those that were not judged stay here. */
    public static JSONArray exported(List<JSONObject> rows, String device) throws JSONException {
        JSONArray all = new JSONArray();
        for (JSONObject row : rows) {
            if (row.getString("outcome").equals("ok") && !row.has("answers")) continue;
            JSONObject copy = new JSONObject(row.toString());
            copy.put("device", "app:" + device + row.getString("suffix"));
            copy.remove("suffix");
            all.put(copy);
        }
        return all;
    }

    JSONObject json() {
        return content;
    }
}
