package androidx.test.runner.intent;

/** Stands in for the class of this name, which only Google's repository has; as much of it as Robolectric calls. */
public final class IntentMonitorRegistry {
    private IntentMonitorRegistry() {}

    public static void registerInstance(IntentMonitor monitor) {}
}
