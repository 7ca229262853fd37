package org.edgewise.app.engine;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** Reads ONNX Runtime's profile: which provider ran how many of the nodes. */
final class Profile {
    private Profile() {}

    /** Returns, for example, "CPU 7 nodes, NNAPI 2 nodes"; null for a profile of no node. */
    static String summary(String json) throws JSONException {
        JSONArray events = new JSONArray(json);
        Map<String, Set<String>> nodes = new TreeMap<>();
        for (int i = 0; i < events.length(); i++) {
            JSONObject event = events.getJSONObject(i);
            JSONObject arguments = event.optJSONObject("args");
            String provider = arguments == null ? "" : arguments.optString("provider");
            if (event.optString("cat").equals("Node") && !provider.isEmpty()) {
                nodes.computeIfAbsent(provider.replace("ExecutionProvider", ""), p -> new HashSet<>()).add(event.getString("name"));
            }
        }
        List<String> counts = new ArrayList<>();
        nodes.forEach((provider, names) -> counts.add(provider + " " + names.size() + " nodes"));
        return counts.isEmpty() ? null : String.join(", ", counts);
    }
}
