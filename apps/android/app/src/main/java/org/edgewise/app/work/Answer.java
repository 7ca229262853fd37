package org.edgewise.app.work;

import org.edgewise.app.model.Scores;

/** What an artifact answers to a picture, and how long the inference alone took. */
public record Answer(float[] logits, long nanoseconds) {
    public int choice() {
        return Scores.choice(logits);
    }

    public float[] odds() {
        return Scores.odds(logits);
    }
}
