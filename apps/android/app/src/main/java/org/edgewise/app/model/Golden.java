package org.edgewise.app.model;

import android.util.Base64;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.edgewise.app.R;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** A picture with the logits that the exporter's machine gave to it, and its label. */
public record Golden(Picture picture, float[] logits, int label) {
    static Golden read(JSONObject json, Size size, int classes) throws JSONException, Refused {
        JSONArray values = json.getJSONArray("logits");
        float[] logits = new float[values.length()];
        for (int i = 0; i < logits.length; i++) logits[i] = (float) values.getDouble(i);
        Picture picture = picture(json, size);
        if (logits.length != classes || picture.count() != size.count()) throw new Refused(R.string.sidecar_golden);
        return new Golden(picture, logits, json.optInt("label", -1));
    }

    private static Picture picture(JSONObject json, Size size) throws Refused {
        try {
            String bytes = json.optString("image_u8", "");
            if (!bytes.isEmpty()) return Picture.of(size, Base64.decode(bytes, Base64.DEFAULT));
            byte[] content = Base64.decode(json.optString("image_f32", ""), Base64.DEFAULT);
            float[] floats = new float[content.length / 4];
            ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(floats);
            return Picture.of(size, floats);
        } catch (IllegalArgumentException error) {
            throw new Refused(error, R.string.sidecar_golden);
        }
    }
}
