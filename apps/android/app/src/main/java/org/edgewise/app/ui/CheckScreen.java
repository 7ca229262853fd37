package org.edgewise.app.ui;

import android.app.Activity;
import android.content.ClipData;
import android.content.Intent;
import android.net.Uri;
import android.view.View;
import android.view.ViewGroup;
import android.widget.Button;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.work.Check;
import org.edgewise.app.work.Session;

/** Every artifact's golden vectors at one glance: equal, within tolerance, or different. */
final class CheckScreen extends Screen {
    private final ViewGroup list;
    private final SettingsChoice settings;

    CheckScreen(Activity activity, ViewGroup parent) {
        super(activity, parent, R.layout.check);
        list = view.findViewById(R.id.list);
        settings = new SettingsChoice(view, session, app.engines());
        view.findViewById(R.id.run_check).setOnClickListener(button -> {
            if (session.checking()) session.stop();
            else session.check();
        });
        Intent files = document("*/*").putExtra(Intent.EXTRA_ALLOW_MULTIPLE, true);
        view.findViewById(R.id.open).setOnClickListener(button -> ask(files, ARTIFACT, R.id.open_status, R.string.no_file_app));
    }

    @Override
    void show() {
        List<Artifact> artifacts = session.all();
        settings.show();
        settings.enable(!session.checking());
        boolean measuring = app.measuring().running(); // a check would disturb its times
        Button button = view.findViewById(R.id.run_check);
        button.setText(session.checking() ? R.string.stop : R.string.check);
        button.setEnabled(!measuring && !artifacts.isEmpty());
        summarise(artifacts);
        count(list, R.layout.check_row, artifacts.size());
        for (int i = 0; i < artifacts.size(); i++) {
            fill(list.getChildAt(i), artifacts.get(i), session.status(artifacts.get(i).id()));
        }
    }

    private void summarise(List<Artifact> artifacts) {
        int[] counts = new int[Check.State.values().length];
        int failed = 0;
        int out = 0;
        for (Artifact artifact : artifacts) {
            Session.Status status = session.status(artifact.id());
            if (status.problem != null && status.engine.isEmpty()) out++;
            else if (status.problem != null) failed++;
            else if (status.checked != null) counts[status.checked.state().ordinal()]++;
        }
        TextView line = view.findViewById(R.id.summary);
        if (session.checking()) {
            line.setText(activity.getString(R.string.checked_of, session.checked(), session.toCheck()));
        } else if (session.toCheck() == 0) {
            line.setText(artifacts.isEmpty() ? R.string.no_artifacts : R.string.check_idle);
        } else {
            line.setText(activity.getString(R.string.check_summary, counts[0], counts[1], counts[2], failed, out + counts[3]));
        }
        line.setActivated(!session.checking() && counts[2] + failed > 0);
        StringBuilder problems = new StringBuilder();
        for (Refused problem : session.problems()) problems.append(problem.sentence(activity.getResources())).append('\n');
        line(view, R.id.problems, problems.toString().trim());
    }

    private void fill(View row, Artifact artifact, Session.Status status) {
        TextView mark = row.findViewById(R.id.mark);
        TextView line = row.findViewById(R.id.outcome);
        text(row, R.id.id, Words.breakable(artifact.id()));
        Check.State state = status.checked == null ? null : status.checked.state();
        boolean refused = status.problem != null;
        mark.setText(refused ? (status.engine.isEmpty() ? "–" : "!") : state == null ? "" : switch (state) {
            case EQUAL -> "=";
            case WITHIN -> "≈";
            case DIFFERENT -> "≠";
            case NONE -> "–";
        });
        int colour = refused ? (status.engine.isEmpty() ? R.color.soft : R.color.bad) : state == null ? R.color.soft : Words.colour(state);
        mark.setTextColor(activity.getColor(colour));
        line.setTextColor(activity.getColor(colour));
        line.setText(refused ? status.problem.sentence(activity.getResources())
                : state == null ? activity.getString(R.string.not_checked) : sentence(status));
        Button remove = row.findViewById(R.id.remove);
        remove.setVisibility(artifact.packed() ? View.GONE : View.VISIBLE);
        remove.setContentDescription(activity.getString(R.string.remove_named, artifact.id()));
        remove.setOnClickListener(button -> {
            app.library().remove(artifact);
            session.refresh();
        });
    }

    private String sentence(Session.Status status) {
        String ran = status.ran == null ? activity.getString(R.string.ran_unknown) : status.ran;
        return activity.getString(R.string.check_line, Words.sentence(activity.getResources(), status.checked), status.engine, ran);
    }

    @Override
    void result(int request, Intent data) {
        if (request != ARTIFACT) return;
        List<Uri> chosen = new ArrayList<>();
        ClipData clip = data.getClipData();
        for (int i = 0; clip != null && i < clip.getItemCount(); i++) chosen.add(clip.getItemAt(i).getUri());
        if (chosen.isEmpty() && data.getData() != null) chosen.add(data.getData());
        try {
            Artifact artifact = app.library().open(chosen);
            session.refresh();
            say(R.id.open_status, activity.getString(R.string.opened, artifact.id()), false);
        } catch (Refused refused) {
            say(R.id.open_status, refused.sentence(activity.getResources()), true);
        } catch (OutOfMemoryError error) {
            say(R.id.open_status, activity.getString(R.string.out_of_memory, activity.getString(R.string.open)), true);
        }
    }
}
