package org.edgewise.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import android.view.ViewGroup;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgewise.app.R;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.work.Session;
import org.edgewise.app.work.Verdict;

/** One picture, what every artifact answers to it, and who disagrees. */
final class CompareScreen extends Screen {
    private final Input input;
    private final ViewGroup cards;
    private final Map<String, AnswerCard> shown = new LinkedHashMap<>();

    CompareScreen(Activity activity, ViewGroup parent) {
        super(activity, parent, R.layout.compare);
        cards = view.findViewById(R.id.cards);
        input = new Input(activity, view, session);
    }

    @Override
    void save(Bundle state) {
        input.save(state);
    }

    @Override
    void restore(Bundle state) {
        input.restore(state);
    }

    @Override
    void result(int request, Intent data) {
        input.result(request, data);
    }

    @Override
    void show() {
        List<Artifact> artifacts = session.shown();
        input.show();
        place(artifacts);
        Map<String, Integer> choices = new LinkedHashMap<>();
        for (Artifact artifact : artifacts) {
            Session.Status status = session.status(artifact.id());
            choices.put(artifact.id(), status.answer == null ? -1 : status.answer.choice());
        }
        Verdict verdict = Verdict.of(choices);
        for (Artifact artifact : artifacts) {
            shown.get(artifact.id()).show(session.status(artifact.id()), verdict.odd().contains(artifact.id()));
        }
        TextView banner = view.findViewById(R.id.verdict);
        banner.setText(sentence(artifacts, choices, verdict));
        banner.setActivated(!verdict.agreed());
    }

    /** Makes a card for each artifact, anew only where other artifacts are there. */
    private void place(List<Artifact> artifacts) {
        List<String> ids = new ArrayList<>();
        for (Artifact artifact : artifacts) ids.add(artifact.id() + artifact.sidecar().sha256);
        if (ids.equals(cards.getTag())) return;
        cards.setTag(ids);
        cards.removeAllViews();
        shown.clear();
        for (Artifact artifact : artifacts) {
            AnswerCard card = new AnswerCard(activity, cards, artifact.sidecar());
            shown.put(artifact.id(), card);
            cards.addView(card.view);
        }
    }

    private String sentence(List<Artifact> artifacts, Map<String, Integer> choices, Verdict verdict) {
        if (artifacts.isEmpty()) return activity.getString(R.string.no_artifacts);
        if (session.held()) return activity.getString(R.string.held);
        if (verdict.answered() == 0) return activity.getString(input.idle());
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
