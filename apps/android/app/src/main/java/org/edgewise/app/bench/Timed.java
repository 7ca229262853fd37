package org.edgewise.app.bench;

import java.util.Arrays;

/** The latency samples of one artifact in nanoseconds, and why it could not be timed, which may be "". */
public record Timed(long[] samplesNs, String problem) {
    /** Returns what a share of the samples stays below, in between where it falls between two; 0 for none. */
    public static double quantile(long[] samples, double share) {
        if (samples.length == 0) return 0;
        long[] sorted = samples.clone();
        Arrays.sort(sorted);
        double at = share * (sorted.length - 1);
        int low = (int) at;
        long next = sorted[Math.min(low + 1, sorted.length - 1)];
        return sorted[low] + (at - low) * (next - sorted[low]);
    }
}
