package org.edgewise.app.work;

import java.util.Locale;
import org.edgewise.app.R;
import org.edgewise.app.model.Golden;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Scores;
import org.edgewise.app.model.Sidecar;

/** Holds an artifact's answers to its golden vectors against those of the exporter's machine. */
public final class Check {
    public enum State { EQUAL, WITHIN, DIFFERENT, NONE }

    /** The state, the largest difference of a logit, what is wrong where something is, and the first inference's time. */
    public record Checked(State state, double difference, Refused wrong, long firstNs) {}

    // Of the golden logits' span: kernels of another CPU round otherwise.
    private static final double TOLERANCE = 0.01;

    private Check() {}

    public static Checked run(Running running) throws Refused {
        Sidecar sidecar = running.sidecar();
        double difference = 0;
        int wrong = 0;
        Refused first = null;
        long firstNs = 0;
        for (Golden golden : sidecar.golden) {
            Running.Answer answer = running.answer(golden.picture());
            if (firstNs == 0) firstNs = answer.nanoseconds();
            double off = Scores.difference(answer.logits(), golden.logits());
            difference = Math.max(difference, off);
            Refused why = why(sidecar, golden, answer, off);
            if (why != null) wrong++;
            if (first == null) first = why;
        }
        if (sidecar.golden.isEmpty()) return new Checked(State.NONE, 0, new Refused(R.string.check_none), 0);
        State state = wrong > 0 ? State.DIFFERENT : difference == 0 ? State.EQUAL : State.WITHIN;
        return new Checked(state, difference, first, firstNs);
    }

    /** Returns a difference as a person reads it. */
    public static String shown(double difference) {
        return String.format(Locale.ROOT, difference < 1e-3 || difference >= 1e4 ? "%.1e" : "%.3f", difference);
    }

    private static Refused why(Sidecar sidecar, Golden golden, Running.Answer answer, double off) {
        int ours = answer.choice();
        int theirs = Scores.choice(golden.logits());
        if (ours < 0) return new Refused(R.string.check_not_finite, sidecar.named(theirs));
        if (ours != theirs) {
            return new Refused(R.string.check_answer, sidecar.named(theirs), sidecar.named(golden.label()), sidecar.named(ours));
        }
        if (off <= TOLERANCE * Scores.span(golden.logits())) return null;
        return new Refused(R.string.check_logit, sidecar.named(golden.label()), shown(off));
    }
}
