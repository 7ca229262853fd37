package org.edgewise.app.model;

/** What logits say. */
public final class Scores {
    private Scores() {}

    /** Returns the class of the largest logit; -1 where one is not a number, which is no answer. */
    public static int choice(float[] logits) {
        int best = 0;
        for (int i = 0; i < logits.length; i++) {
            if (!Float.isFinite(logits[i])) return -1;
            if (logits[i] > logits[best]) best = i;
        }
        return logits.length == 0 ? -1 : best;
    }

    /** Returns how likely each class is, by softmax; outputs that are probabilities already stay as they are. */
    public static float[] odds(float[] logits) {
        if (areProbabilities(logits)) return logits.clone();
        double top = Float.NEGATIVE_INFINITY;
        for (float logit : logits) top = Math.max(top, logit);
        double sum = 0;
        double[] powers = new double[logits.length];
        for (int i = 0; i < powers.length; i++) sum += powers[i] = Math.exp(logits[i] - top);
        float[] odds = new float[logits.length];
        for (int i = 0; i < odds.length; i++) odds[i] = (float) (powers[i] / sum);
        return odds;
    }

    private static boolean areProbabilities(float[] outputs) {
        double sum = 0;
        for (float output : outputs) {
            if (!(output >= 0)) return false;
            sum += output;
        }
        return Math.abs(sum - 1) < 1e-3;
    }

    /** Returns the largest difference of a logit; infinite where one is not a number. */
    public static double difference(float[] ours, float[] theirs) {
        double most = 0;
        for (int i = 0; i < theirs.length; i++) {
            if (!Float.isFinite(ours[i])) return Double.POSITIVE_INFINITY;
            most = Math.max(most, Math.abs((double) ours[i] - theirs[i]));
        }
        return most;
    }

    /** Returns the largest logit less the smallest. */
    public static double span(float[] logits) {
        double low = Double.POSITIVE_INFINITY;
        double high = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            low = Math.min(low, logit);
            high = Math.max(high, logit);
        }
        return high - low;
    }
}
