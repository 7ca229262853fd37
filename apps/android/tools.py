"""The programs that make an APK: those of the SDK in ANDROID_HOME, else Debian's; a missing one is a sentence."""

import os
import shutil
import subprocess
from pathlib import Path

from models.common.errors import EdgewiseError, EnvironmentMissing

PACKAGES = {
    "aapt2": "aapt",
    "zipalign": "zipalign",
    "apksigner": "apksigner",
    "dexdump": "dexdump",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "keytool": "default-jdk-headless",
}
LAST_LINES = 15  # of a program's output, in an error
FRAMEWORK = Path("/usr/share/android-framework-res/framework-res.apk")
TIMEOUT_S = 600


class ToolFailed(EdgewiseError):
    """A program ended with an error; `output` is all that it printed, the message its last lines."""

    def __init__(self, program: str, code: int, output: str) -> None:
        last = "\n".join(output.strip().splitlines()[-LAST_LINES:])
        super().__init__(f"{program} failed with exit code {code}:\n{last}")
        self.output = output


def find(program: str) -> str:
    """Return where a program is; raises EnvironmentMissing, which names the package."""
    sdk = _newest("build-tools", program)
    path = str(sdk) if sdk else shutil.which(program)
    if not path:
        raise EnvironmentMissing(
            f"There is no {program}, which the Android app is built with. On Debian and Ubuntu install it with: "
            f"sudo apt-get install {PACKAGES[program]} (or set ANDROID_HOME to an SDK)"
        )
    return path


def framework() -> Path:
    """Return the framework's resources to link against: the SDK's newest platform, else Debian's."""
    sdk = _newest("platforms", "android.jar")
    if sdk:
        return sdk
    if not FRAMEWORK.is_file():
        raise EnvironmentMissing(
            "The resources of Android's framework are not here. On Debian and Ubuntu install them with: "
            "sudo apt-get install android-framework-res (or set ANDROID_HOME to an SDK with a platform)"
        )
    return FRAMEWORK


def _newest(folder: str, name: str) -> Path | None:
    home = os.environ.get("ANDROID_HOME")
    candidates = Path(home, folder).glob(f"*/{name}") if home else ()
    return max(candidates, key=lambda path: _numbers(path.parent.name), default=None)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(part) for part in name.replace("-", ".").split(".") if part.isdigit())


def require() -> None:
    """Raise EnvironmentMissing for the first thing that is missing, before minutes of building."""
    for program in PACKAGES:
        find(program)
    framework()


def run(program: str, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Return what a program prints, warnings last; raises ToolFailed where it fails."""
    command = (find(program), *map(str, arguments))
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S,
                              stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise EdgewiseError(f"{program} took more than {TIMEOUT_S} s.") from error
    if done.returncode:
        raise ToolFailed(program, done.returncode, done.stdout + done.stderr)
    return done.stdout + done.stderr
