"""Stand-ins for classes of archives that are not downloaded: as much of each as Robolectric and our adapter call."""

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

# What ExecuTorch's archive declares (1.4.1's extension/android); older versions of loadMethod return an error's number.
EXECUTORCH = """
executorch abstract class Tensor { public static native Tensor fromBlob(java.nio.ByteBuffer data, long[] shape);
    public static native Tensor fromBlob(java.nio.FloatBuffer data, long[] shape);
    public static native Tensor fromBlobUnsigned(java.nio.ByteBuffer data, long[] shape);
    public native byte[] getDataAsByteArray();
    public native byte[] getDataAsUnsignedByteArray();
    public native float[] getDataAsFloatArray(); }
executorch class EValue { public static native EValue from(Tensor value);
    public native Tensor toTensor(); }
executorch class MethodMetadata { public native String[] getBackends(); }
executorch class Module { public static final int LOAD_MODE_MMAP = 1;
    public static native Module load(String path, int mode, int threads);
    public native RETURNED loadMethod(String name);
    public native EValue[] forward(EValue... inputs);
    public native MethodMetadata getMethodMetadata(String name);
    public native void destroy(); }
"""


def write(folder: Path) -> None:
    """Write the source of each class that Robolectric calls into the folder of its package."""
    _write(folder, "androidx.test.", CLASSES, IMPORTS)


def write_executorch(folder: Path, returned: str) -> tuple[Path, ...]:
    """Write the classes that the adapter of ExecuTorch calls, and return them; `returned` is what loadMethod gives."""
    return _write(folder, "org.pytorch.", EXECUTORCH.replace("RETURNED", returned))


def _write(folder: Path, prefix: str, classes: str, imports: str = "") -> tuple[Path, ...]:
    written = []
    for package, content, name in re.findall(r"^(\S+) ((?:abstract )?\w+ (\w+) .*(?:\n .*)*)", classes, re.MULTILINE):
        source = f"package {prefix}{package};\n{imports}\npublic {content}\n"
        written.append(folder.joinpath(*f"{prefix}{package}".split("."), f"{name}.java"))
        files.write_bytes(written[-1], source.encode())
    return tuple(written)
