package org.edgewise.app.bench;

import android.content.res.Resources;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.edgewise.app.R;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.work.Running;

/** Times artifacts in rounds over all of them in random order, once each is warm; as the project's own worker does. */
public record Rounds(Resources resources, Front front, Bench.Progress progress) {
    private static final int WARM_UP = 64; // inferences of each artifact, or
    private static final long WARM_UP_NS = 1_000_000_000L; // this long, whichever ends first
    private static final int WARM_UP_LEAST = 3;

    /** The latency samples of one artifact in nanoseconds, and why it could not be timed, which may be "". */
    public record Timed(long[] samplesNs, String problem) {}

    private static final class One {
        final Running running;
        final List<Long> samples = new ArrayList<>();
        String problem = "";

        One(Running running) {
            this.running = running;
        }
    }

    /**
     * Times artifacts, on a golden picture where they have some, in `rounds` rounds or for `limitNs`. A round in which the app
     * was put away does not count: its samples are thrown away, and it begins again once the app is in front. Raises
     * InterruptedException where it is cancelled.
     */
    public List<Timed> time(List<Running> artifacts, int rounds, long limitNs) throws InterruptedException {
        List<One> all = new ArrayList<>();
        for (int i = 0; i < artifacts.size(); i++) {
            One one = new One(artifacts.get(i));
            all.add(one);
            front.await();
            progress.at(i, artifacts.size(), R.string.progress_warm_up, one.running.sidecar().id);
            warm(one);
        }
        long left = limitNs;
        Random random = new Random();
        for (int round = 0; round < rounds && left > 0; ) {
            front.await();
            long interrupted = front.left();
            long began = System.nanoTime();
            if (round % 10 == 0) progress.at(round, rounds, R.string.progress_round, round + 1, rounds);
            List<One> mixed = new ArrayList<>(all);
            mixed.removeIf(one -> !one.problem.isEmpty());
            Collections.shuffle(mixed, random);
            for (One one : mixed) sample(one);
            if (Thread.interrupted()) throw new InterruptedException();
            if (front.left() == interrupted) round++;
            else for (One one : mixed) if (one.problem.isEmpty()) one.samples.remove(one.samples.size() - 1);
            left -= System.nanoTime() - began;
        }
        List<Timed> timed = new ArrayList<>();
        for (One one : all) timed.add(new Timed(one.samples.stream().mapToLong(Long::longValue).toArray(), one.problem));
        return timed;
    }

    private void warm(One one) {
        Sidecar sidecar = one.running.sidecar();
        try {
            one.running.show(sidecar.golden.isEmpty() ? Picture.of(sidecar.size, new byte[sidecar.size.count()])
                    : sidecar.golden.get(0).picture());
            long end = System.nanoTime() + WARM_UP_NS;
            for (int i = 0; i < WARM_UP && (i < WARM_UP_LEAST || System.nanoTime() < end); i++) one.running.again();
        } catch (Refused refused) {
            one.problem = refused.sentence(resources);
        }
    }

    private void sample(One one) {
        try {
            one.samples.add(one.running.again());
        } catch (Refused refused) {
            one.problem = refused.sentence(resources);
        }
    }
}
