package org.edgewise.app.model;

import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.R;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** What the JSON beside an artifact says of it; all that this app knows of a network. */
public final class Sidecar {
    public final String id;
    public final String model;
    public final String format;
    public final String scheme;
    public final String file;
    public final String sha256;
    public final long sizeBytes;
    public final Tensor input;
    public final Tensor output;
    public final String layout;
    public final Size size;
    public final List<String> labels;
    public final List<Golden> golden;

    private Sidecar(JSONObject json) throws JSONException, Refused {
        id = json.getString("id");
        model = json.getString("model");
        format = json.getString("format");
        scheme = json.getString("scheme");
        String outcome = json.optString("outcome", "ok");
        if (!outcome.equals("ok")) throw new Refused(R.string.sidecar_not_made, id, json.optString("reason", outcome));
        file = json.getString("file");
        sha256 = json.getString("sha256");
        sizeBytes = json.getLong("size_bytes");
        input = Tensor.read(json.getJSONArray("inputs"));
        output = Tensor.read(json.getJSONArray("outputs"));
        if (output.count() < 2) throw new Refused(R.string.sidecar_one_value);
        layout = json.optString("layout", "hwc");
        boolean fits = layout.equals("hw") ? input.shape().length == 3
                : (layout.equals("hwc") || layout.equals("chw")) && input.shape().length == 4;
        if (!fits) throw new Refused(R.string.sidecar_layout, layout, input.shape().length);
        boolean named = id.equals(model + "-" + format + "-" + scheme) && sha256.matches("[0-9a-f]{64}");
        if (!named || !file.startsWith(id + ".") || file.contains("/")) throw new Refused(R.string.sidecar_names, id);
        size = Size.of(input.shape(), layout);
        labels = names(json.optJSONArray("labels"));
        golden = golden(json.optJSONArray("golden"));
    }

    /** Reads a sidecar; refuses what is none, or what this app cannot run, with the reason. */
    public static Sidecar parse(String json) throws Refused {
        try {
            return new Sidecar(new JSONObject(json));
        } catch (JSONException | StackOverflowError error) {
            throw new Refused(error, R.string.not_a_sidecar, Refused.firstLine(error));
        }
    }

    public int classes() {
        return output.count();
    }

    /** Returns a class by its name, by its number where it has none. */
    public String named(int index) {
        return index < 0 || index >= labels.size() ? String.valueOf(index) : labels.get(index);
    }

    /** Tells whether a drawing can be what it reads: grey pictures of classes that are one character each. */
    public boolean readsDrawings() {
        return size.channels() == 1 && labels.size() == classes() && labels.stream().allMatch(l -> l.codePointCount(0, l.length()) == 1);
    }

    public boolean readsDigits() {
        return readsDrawings() && labels.stream().allMatch(label -> Character.isDigit(label.codePointAt(0)));
    }

    /** Tells whether it takes bytes, as photographs and drawings are; else floats of a range that the sidecar does not tell. */
    public boolean takesBytes() {
        return golden.isEmpty() || golden.get(0).picture().isBytes();
    }

    /** Returns what networks must share to answer one picture. */
    public String group() {
        return size + "/" + labels + "/" + classes() + "/" + takesBytes();
    }

    private static List<String> names(JSONArray json) throws JSONException {
        List<String> names = new ArrayList<>();
        for (int i = 0; json != null && i < json.length(); i++) names.add(json.getString(i));
        return List.copyOf(names);
    }

    private List<Golden> golden(JSONArray json) throws JSONException, Refused {
        List<Golden> read = new ArrayList<>();
        for (int i = 0; json != null && i < json.length(); i++) {
            read.add(Golden.read(json.getJSONObject(i), size, classes()));
        }
        return List.copyOf(read);
    }
}
