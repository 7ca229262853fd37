package org.edgewise.app.work;

/** Threads that engines run in. ONNX Runtime, where it was tried, needed more stack to load a network than Java gives by default. */
public final class Threads {
    private static final long STACK_BYTES = 16L << 20;

    private Threads() {}

    public static Thread make(String name, Runnable task) {
        return new Thread(null, task, name, STACK_BYTES);
    }
}
