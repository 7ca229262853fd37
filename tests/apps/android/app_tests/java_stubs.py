"""Stand-ins for classes that Robolectric calls and only Google's repository has: as much of each as it calls."""

import re
from pathlib import Path

from models.common import files

IMPORTS = """
import android.app.*;
import android.content.Intent;
import android.os.Bundle;
import androidx.test.runner.intent.*;
import androidx.test.runner.lifecycle.*;
"""
CLASSES = """
platform.app class InstrumentationRegistry { public static void registerInstance(Instrumentation one, Bundle facts) {} }
runner.intent interface IntentMonitor {}
runner.intent class IntentMonitorRegistry { public static void registerInstance(IntentMonitor monitor) {} }
runner.intent interface IntentStubber { Instrumentation.ActivityResult getActivityResultForIntent(Intent intent); }
runner.intent class IntentStubberRegistry { public static boolean isLoaded() { return false; }
    public static IntentStubber getInstance() { return null; } }
runner.lifecycle enum Stage { PRE_ON_CREATE, CREATED, STARTED, RESUMED, PAUSED, STOPPED, RESTARTED, DESTROYED }
runner.lifecycle enum ApplicationStage { PRE_ON_CREATE, CREATED }
runner.lifecycle interface ActivityLifecycleMonitor {}
runner.lifecycle interface ApplicationLifecycleMonitor {}
runner.lifecycle class ActivityLifecycleMonitorRegistry { public static void registerInstance(ActivityLifecycleMonitor one) {} }
runner.lifecycle class ApplicationLifecycleMonitorRegistry { public static void registerInstance(ApplicationLifecycleMonitor one) {} }
internal.runner.intent class IntentMonitorImpl implements IntentMonitor { public void signalIntent(Intent intent) {} }
internal.runner.lifecycle class ActivityLifecycleMonitorImpl implements ActivityLifecycleMonitor {
    public void signalLifecycleChange(Stage stage, Activity activity) {} }
internal.runner.lifecycle class ApplicationLifecycleMonitorImpl implements ApplicationLifecycleMonitor {
    public void signalLifecycleChange(Application application, ApplicationStage stage) {} }
"""


def write(folder: Path) -> None:
    """Write the source of each class into the folder of its package."""
    for package, content, name in re.findall(r"^(\S+) (\w+ (\w+) .*(?:\n .*)?)", CLASSES, re.MULTILINE):
        source = f"package androidx.test.{package};\n{IMPORTS}\npublic {content}\n"
        files.write_bytes(folder / "androidx" / "test" / package.replace(".", "/") / f"{name}.java", source.encode())
