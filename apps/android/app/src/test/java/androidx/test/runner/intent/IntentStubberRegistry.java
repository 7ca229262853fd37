package androidx.test.runner.intent;

/** Stands in for the class of this name, which only Google's repository has; as much of it as Robolectric calls. */
public final class IntentStubberRegistry {
    private IntentStubberRegistry() {}

    public static boolean isLoaded() {
        return false;
    }

    public static IntentStubber getInstance() {
        return null;
    }
}
