package org.edgewise.app.ui;

import android.app.Activity;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.bench.Row;
import org.edgewise.app.bench.Timed;
import org.json.JSONArray;
import org.json.JSONObject;

/** The figures of a benchmark, an artifact each. */
final class BenchmarkRows {
    private final Activity activity;
    private final ViewGroup list;

    BenchmarkRows(Activity activity, ViewGroup list) {
        this.activity = activity;
        this.list = list;
    }

    void show(List<JSONObject> rows) {
        while (list.getChildCount() > rows.size()) list.removeViewAt(list.getChildCount() - 1);
        for (int i = 0; i < rows.size(); i++) {
            if (list.getChildCount() <= i) {
                list.addView(activity.getLayoutInflater().inflate(R.layout.benchmark_row, list, false));
            }
            fill(list.getChildAt(i), rows.get(i));
        }
    }

    private void fill(View view, JSONObject row) {
        boolean ok = row.optString("outcome").equals("ok");
        String runtime = row.optString("runtime") + row.optString("suffix").replace("+", " +");
        text(view, R.id.id, activity.getString(R.string.on_runtime, Words.breakable(row.optString("artifact")), runtime));
        long[] samples = samples(row.optJSONArray("latencies_ns"));
        text(view, R.id.times, ok ? activity.getString(R.string.times, Figures.duration(Timed.quantile(samples, 0.5)),
                Figures.duration(Timed.quantile(samples, 0.9))) : row.optString("outcome"));
        int total = row.optInt("total");
        text(view, R.id.shares, !ok ? row.optString("reason") : total == 0 ? "" // a note says why
                : activity.getString(R.string.shares, Figures.share(row.optInt("correct"), total),
                        Figures.share(row.optInt("agree"), total), total));
        JSONObject environment = row.optJSONObject("environment");
        StringBuilder notes = new StringBuilder();
        if (ok && environment != null) {
            String ran = environment.optString("ran");
            notes.append(activity.getString(R.string.ran, ran.equals(Row.NOT_KNOWN) ? activity.getString(R.string.ran_unknown) : ran));
        }
        JSONArray array = row.optJSONArray("notes");
        for (int i = 0; array != null && i < array.length(); i++) notes.append('\n').append(array.optString(i));
        text(view, R.id.notes, notes.toString());
    }

    private static long[] samples(JSONArray array) {
        long[] samples = new long[array == null ? 0 : array.length()];
        for (int i = 0; i < samples.length; i++) samples[i] = array.optLong(i);
        return samples;
    }

    private void text(View view, int id, String text) {
        TextView line = view.findViewById(id);
        line.setText(text);
        line.setVisibility(text.isEmpty() ? View.GONE : View.VISIBLE);
    }
}
