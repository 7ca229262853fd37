package org.edgewise.app.bench;

import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.engine.Accelerator;
import org.edgewise.app.engine.Settings;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** Which artifacts a benchmark measures, and how; a file, so that it goes on after the app was killed. */
public record Plan(List<String> ids, Settings settings, int rounds, long limitNs, int images) {
    private static final int ROUNDS = 200;
    private static final long LIMIT_NS = 20_000_000_000L; // for all rounds

    public static Plan of(List<String> ids, Settings settings) {
        return new Plan(ids, settings, ROUNDS, LIMIT_NS, 0);
    }

    String json() throws JSONException {
        return new JSONObject().put("ids", new JSONArray(ids)).put("threads", settings.threads())
                .put("accelerator", settings.accelerator().id).put("rounds", rounds).put("limit_ns", limitNs)
                .put("images", images).toString();
    }

    static Plan read(String json) throws JSONException {
        JSONObject plan = new JSONObject(json);
        JSONArray names = plan.getJSONArray("ids");
        List<String> ids = new ArrayList<>();
        for (int i = 0; i < names.length(); i++) ids.add(names.getString(i));
        Settings settings = new Settings(plan.getInt("threads"), Accelerator.of(plan.getString("accelerator")));
        return new Plan(ids, settings, plan.getInt("rounds"), plan.getLong("limit_ns"), plan.getInt("images"));
    }
}
