package androidx.test.runner.intent;

import android.app.Instrumentation.ActivityResult;
import android.content.Intent;

/** Stands in for the class of this name, which only Google's repository has; as much of it as Robolectric calls. */
public interface IntentStubber {
    ActivityResult getActivityResultForIntent(Intent intent);
}
