package org.edgewise.app.bench;

import java.util.List;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** The file that leaves the phone: what `nox -s device_tests -- --import FILE` reads. */
public final class Exported {
    public static final String NAME = "[a-z0-9][a-z0-9._-]{0,39}"; // of a device, as the desktop takes it

    private Exported() {}

    /** Returns rows under a device's name; those that were not judged on evaluation images stay here. */
    public static JSONArray results(List<JSONObject> rows, String device) throws JSONException {
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
}
