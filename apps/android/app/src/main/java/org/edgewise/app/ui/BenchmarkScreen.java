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
import android.widget.TextView;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.App;
import org.edgewise.app.R;
import org.edgewise.app.bench.Bench;
import org.edgewise.app.bench.Exported;
import org.edgewise.app.bench.Measuring;
import org.edgewise.app.bench.Phone;
import org.edgewise.app.bench.Plan;
import org.edgewise.app.model.Refused;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** Times every chosen artifact on this phone, judges it, shows the figures, and shares them. */
final class BenchmarkScreen extends SessionScreen {
    private static final String LEFT_OUT = "left_out";

    private final Measuring measuring;
    private final SettingsChoice settings;
    private final BenchmarkRows rows;
    private ArrayList<String> leftOut = new ArrayList<>(); // by the person

    BenchmarkScreen(Activity activity, ViewGroup parent, App app) {
        super(activity, parent, app, R.layout.benchmark, app.measuring().changes);
        this.measuring = app.measuring();
        settings = new SettingsChoice(view, session, app.engines());
        rows = new BenchmarkRows(activity, view.findViewById(R.id.rows));
        EditText name = view.findViewById(R.id.device);
        name.setText(Phone.suggestedName());
        view.findViewById(R.id.measure).setOnClickListener(button -> pressed());
        view.findViewById(R.id.choose_artifacts).setOnClickListener(button -> choose());
        view.findViewById(R.id.share).setOnClickListener(button -> share());
    }

    @Override
    public void save(Bundle state) {
        state.putStringArrayList(LEFT_OUT, leftOut);
    }

    @Override
    public void restore(Bundle state) {
        ArrayList<String> saved = state.getStringArrayList(LEFT_OUT);
        if (saved != null) leftOut = saved;
    }

    private List<String> runnable() {
        return Bench.runnable(session.all(), app.engines());
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
        bar.setMax(Math.max(1, measuring.total()));
        bar.setProgress(measuring.done());
        List<JSONObject> finished = measuring.rows();
        say(measuring.status().isEmpty() && finished.isEmpty() ? activity.getString(R.string.bench_idle) : measuring.status());
        rows.show(finished);
        view.findViewById(R.id.share).setVisibility(finished.isEmpty() || running ? View.GONE : View.VISIBLE);
        Phone phone = measuring.phone();
        TextView facts = view.findViewById(R.id.phone);
        facts.setText(activity.getString(R.string.phone_facts, Phone.soc(), phone.thermal(), phone.battery()));
        ((TextView) view.findViewById(R.id.build)).setText(BuildFacts.text(app.engines(), activity.getResources()));
        if (running) activity.getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        else activity.getWindow().clearFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
    }

    private void say(String text) {
        ((TextView) view.findViewById(R.id.bench_status)).setText(text);
    }

    private void share() {
        EditText name = view.findViewById(R.id.device);
        String device = name.getText().toString();
        if (!device.matches(Exported.NAME)) {
            name.setError(activity.getString(R.string.device_name_wrong));
            return;
        }
        try {
            JSONArray results = Exported.results(measuring.rows(), device);
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
