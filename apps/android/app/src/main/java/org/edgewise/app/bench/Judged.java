package org.edgewise.app.bench;

import android.util.Base64;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.Deflater;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Evaluation;
import org.edgewise.app.work.Running;

/** An artifact's logits on evaluation images, packed as the project's worker packs them, and how many are right. */
public record Judged(int total, int right, int alike, String logits) {
    private static final int BREATH = 50; // images between two signs of life

    /** Lets an artifact answer the first `most` images, all for 0. */
    public static Judged run(Running running, Evaluation images, int most, Front front, Bench.Progress progress)
            throws Refused, InterruptedException {
        int total = most > 0 ? Math.min(most, images.count) : images.count;
        int classes = running.sidecar().classes();
        ByteBuffer logits = ByteBuffer.allocate(4 * total * classes).order(ByteOrder.LITTLE_ENDIAN);
        int right = 0;
        int alike = 0;
        for (int i = 0; i < total; i++) {
            if (i % BREATH == 0) {
                front.await();
                progress.at(i, total, R.string.progress_judge, running.sidecar().id, i + 1, total);
            }
            if (Thread.interrupted()) throw new InterruptedException();
            Running.Answer answer = running.answer(images.image(i));
            for (float logit : answer.logits()) logits.putFloat(logit);
            if (answer.choice() == images.labels[i]) right++;
            if (answer.choice() == images.answers[i]) alike++;
        }
        return new Judged(total, right, alike, packed(logits.array()));
    }

    /** Returns bytes zlib-compressed in base64. */
    static String packed(byte[] bytes) {
        Deflater deflater = new Deflater();
        deflater.setInput(bytes);
        deflater.finish();
        ByteArrayOutputStream content = new ByteArrayOutputStream();
        byte[] part = new byte[1 << 16];
        while (!deflater.finished()) content.write(part, 0, deflater.deflate(part));
        deflater.end();
        return Base64.encodeToString(content.toByteArray(), Base64.NO_WRAP);
    }
}
