package org.edgewise.app.engine;

/** How an engine is asked to run. */
public record Settings(int threads, Accelerator accelerator) {
    public static final Settings DEFAULT = new Settings(1, Accelerator.DEFAULT);

    /** Returns what is added to a device's name, so that its results never pass for those of the default. */
    public String suffix() {
        return (threads == 1 ? "" : "+t" + threads) + (accelerator == Accelerator.DEFAULT ? "" : "+" + accelerator.id);
    }
}
