package org.edgewise.app.ui;

import android.app.Activity;
import android.app.AlertDialog;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.view.WindowManager;
import android.widget.Button;
import android.widget.EditText;
import android.widget.ProgressBar;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.edgewise.app.App;
import org.edgewise.app.R;
import org.edgewise.app.bench.Measuring;
import org.edgewise.app.bench.Phone;
import org.edgewise.app.bench.Plan;
import org.edgewise.app.bench.Row;
import org.edgewise.app.engine.Engine;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Artifact;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** Times every chosen artifact on this phone, judges it, shows the figures, and shares them. */
final class BenchmarkScreen extends Screen {
    private static final String LEFT_OUT = "left_out";

    private final Measuring measuring;
    private final SettingsChoice settings;
    private ArrayList<String> leftOut = new ArrayList<>(); // by the person

    BenchmarkScreen(Activity activity, ViewGroup parent, App app) {
        super(activity, parent, R.layout.benchmark, app.measuring().changes);
        this.measuring = app.measuring();
        settings = new SettingsChoice(view, session, app.engines());
        text(view, R.id.device, Phone.suggestedName());
        view.findViewById(R.id.measure).setOnClickListener(button -> pressed());
        view.findViewById(R.id.choose_artifacts).setOnClickListener(button -> choose());
        view.findViewById(R.id.share).setOnClickListener(button -> share());
    }

    @Override
    void save(Bundle state) {
        state.putStringArrayList(LEFT_OUT, leftOut);
    }

    @Override
    void restore(Bundle state) {
        ArrayList<String> saved = state.getStringArrayList(LEFT_OUT);
        if (saved != null) leftOut = saved;
    }

    /** Returns the artifacts that this build has an engine for. */
    private List<String> runnable() {
        List<String> ids = new ArrayList<>();
        for (Artifact artifact : session.all()) {
            try {
                app.engines().of(artifact.sidecar());
                ids.add(artifact.id());
            } catch (Refused refused) {
                continue;
            }
        }
        return ids;
    }

    private List<String> chosen() {
        List<String> chosen = runnable();
        chosen.removeAll(leftOut);
        return chosen;
    }

    private void pressed() {
        if (measuring.running()) measuring.cancel();
        else if (session.checking()) say(activity.getString(R.string.bench_checking));
        else if (chosen().isEmpty()) say(activity.getString(R.string.bench_nothing));
        else measuring.begin(Plan.of(chosen(), session.settings()));
    }

    private void choose() {
        List<String> all = runnable();
        boolean[] checked = new boolean[all.size()];
        for (int i = 0; i < checked.length; i++) checked[i] = !leftOut.contains(all.get(i));
        new AlertDialog.Builder(activity)
                .setTitle(R.string.choose_artifacts)
                .setMultiChoiceItems(all.toArray(new String[0]), checked, (dialog, i, on) -> {
                    if (on) leftOut.remove(all.get(i));
                    else leftOut.add(all.get(i));
                })
                .setPositiveButton(android.R.string.ok, (dialog, which) -> show())
                .show();
    }

    @Override
    void show() {
        boolean running = measuring.running();
        settings.show();
        settings.enable(!running);
        Button button = view.findViewById(R.id.measure);
        button.setText(running ? R.string.cancel : R.string.bench);
        Button choose = view.findViewById(R.id.choose_artifacts);
        choose.setEnabled(!running);
        choose.setText(activity.getString(R.string.chosen_artifacts, chosen().size(), runnable().size()));
        ProgressBar bar = view.findViewById(R.id.progress);
        bar.setVisibility(running ? View.VISIBLE : View.INVISIBLE);
        Measuring.Progress progress = measuring.progress();
        bar.setMax(Math.max(1, progress.total()));
        bar.setProgress(progress.done());
        List<JSONObject> finished = measuring.rows();
        say(progress.says().isEmpty() && finished.isEmpty() ? activity.getString(R.string.bench_idle) : progress.says());
        ViewGroup rows = view.findViewById(R.id.rows);
        count(rows, R.layout.benchmark_row, finished.size());
        for (int i = 0; i < finished.size(); i++) fill(rows.getChildAt(i), finished.get(i));
        view.findViewById(R.id.share).setVisibility(finished.isEmpty() || running ? View.GONE : View.VISIBLE);
        Phone phone = new Phone(activity);
        text(view, R.id.phone, activity.getString(R.string.phone_facts, Phone.soc(), phone.thermal(), phone.battery()));
        text(view, R.id.build, built());
        if (running) activity.getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        else activity.getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
    }

    private void say(String text) {
        text(view, R.id.bench_status, text);
    }

    private void fill(View view, JSONObject row) {
        boolean ok = row.optString("outcome").equals("ok");
        String runtime = row.optString("runtime") + row.optString("suffix").replace("+", " +");
        line(view, R.id.id, activity.getString(R.string.on_runtime, Words.breakable(row.optString("artifact")), runtime));
        JSONArray samples = row.optJSONArray("latencies_ns");
        line(view, R.id.times, !ok ? row.optString("outcome")
                : activity.getString(R.string.times, Words.duration(quantile(samples, 0.5)), Words.duration(quantile(samples, 0.9))));
        int total = row.optInt("total");
        line(view, R.id.shares, !ok ? row.optString("reason") : total == 0 ? "" // a note says why
                : activity.getString(R.string.shares, Words.share(row.optInt("correct"), total),
                        Words.share(row.optInt("agree"), total), total));
        JSONObject environment = row.optJSONObject("environment");
        StringBuilder notes = new StringBuilder();
        if (ok && environment != null) {
            String ran = environment.optString("ran");
            notes.append(activity.getString(R.string.ran, ran.equals(Row.NOT_KNOWN) ? activity.getString(R.string.ran_unknown) : ran));
        }
        JSONArray array = row.optJSONArray("notes");
        for (int i = 0; array != null && i < array.length(); i++) notes.append('\n').append(array.optString(i));
        line(view, R.id.notes, notes.toString());
    }

    /** Returns what a share of the samples stays below, in between where it falls between two; 0 for none. */
    private static double quantile(JSONArray samples, double share) {
        if (samples == null || samples.length() == 0) return 0;
        double[] sorted = IntStream.range(0, samples.length()).mapToDouble(samples::optDouble).sorted().toArray();
        double at = share * (sorted.length - 1);
        int low = (int) at;
        double next = sorted[Math.min(low + 1, sorted.length - 1)];
        return sorted[low] + (at - low) * (next - sorted[low]);
    }

    /** Returns what this build holds: each engine with what it costs, and those that were left out. */
    private String built() {
        List<String> lines = new ArrayList<>();
        for (Engine engine : app.engines().all()) {
            Engines.Facts facts = app.engines().facts(engine.id());
            String version = facts.version().isEmpty() ? "?" : facts.version();
            String small = String.join(", ", facts.smallPages());
            lines.add(activity.getString(R.string.engine_cost, engine.id(), version, Words.bytes(facts.bytes()))
                    + (small.isEmpty() ? "" : activity.getString(R.string.engine_small_pages, small)));
        }
        app.engines().leftOut().forEach((id, why) -> lines.add(activity.getString(R.string.engine_out, id, why)));
        lines.add(activity.getString(R.string.build, app.engines().build()));
        return String.join("\n", lines);
    }

    private void share() {
        EditText name = view.findViewById(R.id.device);
        String device = name.getText().toString();
        if (!device.matches(Phone.NAME)) {
            name.setError(activity.getString(R.string.device_name_wrong));
            return;
        }
        try {
            JSONArray results = Row.exported(measuring.rows(), device);
            if (results.length() == 0) {
                say(activity.getString(R.string.bench_none_judged));
                return;
            }
            Intent send = SharedFiles.share(activity, "edgewise-" + device + ".json", results.toString(1));
            activity.startActivity(Intent.createChooser(send, activity.getString(R.string.share)));
        } catch (IOException error) {
            say(activity.getString(R.string.bench_no_room, Refused.firstLine(error)));
        } catch (JSONException error) {
            throw new IllegalStateException(error);
        }
    }
}
