package org.edgewise.app.ui;

import android.app.Activity;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgewise.app.R;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.work.Check;
import org.edgewise.app.work.Running;
import org.edgewise.app.work.Session;
import org.edgewise.app.work.Verdict;

/** One picture, what every artifact answers to it, and who disagrees. */
final class CompareScreen extends Input {
    CompareScreen(Activity activity, ViewGroup parent) {
        super(activity, parent, R.layout.compare);
    }

    @Override
    void show() {
        super.show();
        List<Artifact> artifacts = session.shown();
        Map<String, Integer> choices = new LinkedHashMap<>();
        for (Artifact artifact : artifacts) {
            Session.Status status = session.status(artifact.id());
            choices.put(artifact.id(), status.answer == null ? -1 : status.answer.choice());
        }
        Verdict verdict = Verdict.of(choices);
        ViewGroup cards = view.findViewById(R.id.cards);
        count(cards, R.layout.answer_card, artifacts.size());
        for (int i = 0; i < artifacts.size(); i++) {
            String id = artifacts.get(i).id();
            fill(cards.getChildAt(i), artifacts.get(i).sidecar(), session.status(id), verdict.odd().contains(id));
        }
        TextView banner = view.findViewById(R.id.verdict);
        banner.setText(sentence(artifacts, choices, verdict));
        banner.setActivated(!verdict.agreed());
    }

    /** Fills a card with an artifact's answer, and what its self-check found; `odd` tells that it differs from what most answer. */
    private void fill(View card, Sidecar sidecar, Session.Status status, boolean odd) {
        Running.Answer answer = status.answer;
        int choice = answer == null ? -1 : answer.choice();
        float[] odds = choice < 0 ? null : answer.odds();
        text(card, R.id.model, Words.breakable(sidecar.model));
        text(card, R.id.scheme, activity.getString(R.string.format_scheme, sidecar.format, sidecar.scheme));
        text(card, R.id.label, answer == null ? "–" : choice < 0 ? activity.getString(R.string.no_answer) : sidecar.named(choice));
        text(card, R.id.odds, odds == null ? "" : Words.percent(odds[choice]));
        card.findViewById(R.id.differs).setVisibility(odd ? View.VISIBLE : View.GONE);
        BarsView bars = card.findViewById(R.id.bars);
        bars.show(sidecar, odds, activity.getString(R.string.probabilities, spoken(sidecar, odds)));
        TextView state = card.findViewById(R.id.state);
        state.setTextColor(activity.getColor(status.problem == null ? R.color.soft : R.color.bad));
        state.setText(status.problem != null ? status.problem.sentence(activity.getResources())
                : answer == null ? activity.getString(R.string.ready)
                : activity.getString(R.string.inference, Words.duration(answer.nanoseconds())));
        String size = Words.bytes(sidecar.sizeBytes);
        text(card, R.id.facts, status.engine.isEmpty() || status.loadNs == 0 ? size
                : activity.getString(R.string.facts, size, status.engine, Words.duration(status.loadNs)));
        Check.Checked checked = status.checked;
        TextView check = card.findViewById(R.id.check);
        line(card, R.id.check, checked == null ? "" : Words.sentence(activity.getResources(), checked));
        if (checked != null) check.setTextColor(activity.getColor(Words.colour(checked.state())));
        card.setActivated(odd);
        card.setSelected(status.problem != null || (checked != null && checked.state() == Check.State.DIFFERENT));
    }

    private static String spoken(Sidecar sidecar, float[] odds) {
        StringBuilder text = new StringBuilder();
        for (int i = 0; odds != null && i < odds.length; i++) {
            if (odds[i] >= 0.005) text.append(sidecar.named(i)).append(": ").append(Words.percent(odds[i])).append("; ");
        }
        return text.toString();
    }

    private String sentence(List<Artifact> artifacts, Map<String, Integer> choices, Verdict verdict) {
        if (artifacts.isEmpty()) return activity.getString(R.string.no_artifacts);
        if (session.held()) return activity.getString(R.string.held);
        if (verdict.answered() == 0) return activity.getString(idle());
        Sidecar sidecar = artifacts.get(0).sidecar();
        String common = sidecar.named(verdict.common());
        if (verdict.agreed()) {
            return verdict.answered() > 1 ? activity.getString(R.string.all_answer, verdict.answered(), common)
                    : activity.getString(R.string.it_answers, common);
        }
        List<String> answers = new ArrayList<>();
        for (String id : verdict.odd()) answers.add(activity.getString(R.string.answers_with, Words.breakable(id), sidecar.named(choices.get(id))));
        int others = verdict.answered() - verdict.odd().size();
        String who = String.join(", ", answers);
        return others == 0 ? activity.getString(R.string.disagree, who)
                : activity.getString(R.string.disagree_with, who, others, common);
    }
}
