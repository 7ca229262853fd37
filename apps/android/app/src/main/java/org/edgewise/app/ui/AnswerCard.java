package org.edgewise.app.ui;

import android.app.Activity;
import android.content.res.Resources;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import org.edgewise.app.R;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.work.Running;
import org.edgewise.app.work.Check;
import org.edgewise.app.work.Session;

/** An artifact's answer to the picture: its class, probabilities, time, and what its self-check found. */
final class AnswerCard {
    final View view;
    private final Resources resources;
    private final Sidecar sidecar;

    AnswerCard(Activity activity, ViewGroup parent, Sidecar sidecar) {
        view = activity.getLayoutInflater().inflate(R.layout.answer_card, parent, false);
        resources = activity.getResources();
        this.sidecar = sidecar;
        Screen.text(view, R.id.model, Words.breakable(sidecar.model));
        Screen.text(view, R.id.scheme, resources.getString(R.string.format_scheme, sidecar.format, sidecar.scheme));
    }

    /** Shows what is known; `odd` tells that it differs from what most answer. */
    void show(Session.Status status, boolean odd) {
        Running.Answer answer = status.answer;
        int choice = answer == null ? -1 : answer.choice();
        Screen.text(view, R.id.label, answer == null ? "–" : choice < 0 ? resources.getString(R.string.no_answer) : sidecar.named(choice));
        float[] odds = choice < 0 ? null : answer.odds();
        Screen.text(view, R.id.odds, odds == null ? "" : Words.percent(odds[choice]));
        view.findViewById(R.id.differs).setVisibility(odd ? View.VISIBLE : View.GONE);
        BarsView bars = view.findViewById(R.id.bars);
        bars.show(sidecar, odds, resources.getString(R.string.probabilities, spoken(odds)));
        TextView state = view.findViewById(R.id.state);
        state.setTextColor(state.getContext().getColor(status.problem == null ? R.color.soft : R.color.bad));
        state.setText(status.problem != null ? status.problem.sentence(resources)
                : answer == null ? resources.getString(R.string.ready)
                : resources.getString(R.string.inference, Words.duration(answer.nanoseconds())));
        String size = Words.bytes(sidecar.sizeBytes);
        Screen.text(view, R.id.facts, status.engine.isEmpty() || status.loadNs == 0 ? size
                : resources.getString(R.string.facts, size, status.engine, Words.duration(status.loadNs)));
        Check.Checked checked = status.checked;
        Screen.line(view, R.id.check, checked == null ? "" : Words.sentence(resources, checked));
        if (checked != null) ((TextView) view.findViewById(R.id.check)).setTextColor(view.getContext().getColor(Words.colour(checked.state())));
        view.setActivated(odd);
        view.setSelected(status.problem != null || (checked != null && checked.state() == Check.State.DIFFERENT));
    }

    private String spoken(float[] odds) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; odds != null && i < odds.length; i++) {
            if (odds[i] >= 0.005) text.append(sidecar.named(i)).append(": ").append(Words.percent(odds[i])).append("; ");
        }
        return text.toString();
    }
}
