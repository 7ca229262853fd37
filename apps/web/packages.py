"""The npm packages that the page uses: installed from the lock file, and which few of their files are shipped."""

import json
import re
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock, Timeout

from models.common import files
from models.common.errors import EdgewiseError, EnvironmentMissing

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 600
PREFIX = re.compile(r"^npm (ERR!|error)")
CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f]")
ASIDE = ("npm warn", "npm WARN", "code ", "syscall ", "errno ", "path ", "A complete log", "Log files were not")

# The packages keep their folders on the site, so that the files are found as in node_modules.
PAGE = ("@noble/hashes/sha2.js", "@noble/hashes/_md.js", "@noble/hashes/_u64.js", "@noble/hashes/utils.js")
RUNTIMES = {
    "litertjs": (
        "@litertjs/core/dist/index.js",
        "@litertjs/core/wasm/litert_wasm_internal.js",
        "@litertjs/core/wasm/litert_wasm_internal.wasm",
        "@litertjs/wasm-utils/dist/index.js",
    ),
    "onnxruntime_web": (
        "onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
        "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
    ),
}
# instead of LiteRT's other pair, for browsers without relaxed SIMD
INSTEAD = ("@litertjs/core/wasm/litert_wasm_compat_internal.js", "@litertjs/core/wasm/litert_wasm_compat_internal.wasm")
NAMES = {"litertjs": "@litertjs/core", "onnxruntime_web": "onnxruntime-web"}


def shipped() -> tuple[str, ...]:
    """Return every file that is copied, relative to node_modules."""
    return (*PAGE, *(file for runtime in RUNTIMES.values() for file in runtime), *INSTEAD)


def install(folder: Path = HERE) -> Path:
    """Return node_modules as package-lock.json says, installed first where it is not, by one process at a time.

    Raises EnvironmentMissing without npm, EdgewiseError where npm fails.
    """
    installed, lock = folder / "node_modules", folder / "package-lock.json"
    stamp = installed / "edgewise.sha256"
    digest = files.sha256(lock)
    if _is_current(stamp, digest):
        return installed
    npm = shutil.which("npm")
    if npm is None or not shutil.which("node"):
        lacking = "npm" if npm is None else "Node.js, which npm runs on,"
        msg = f"{lacking} is not installed; it fetches the browser runtimes. Install it: apt-get install nodejs npm"
        raise EnvironmentMissing(msg)
    with files.storage_errors(installed):
        try:
            with FileLock(folder / ".npm.lock", timeout=INSTALL_TIMEOUT_S):
                if not _is_current(stamp, digest):  # another process may have installed them meanwhile
                    _npm_ci(npm, folder)
                    files.write_bytes(stamp, digest.encode())
        except Timeout as error:
            msg = f"Another npm ci in {folder} takes more than {INSTALL_TIMEOUT_S} s. End it, and build again."
            raise EdgewiseError(msg) from error
    return installed


def _is_current(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


def _npm_ci(npm: str, folder: Path) -> None:
    command = (npm, "ci", "--ignore-scripts")  # what is shipped is in the packages; nothing of theirs needs to run
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, timeout=INSTALL_TIMEOUT_S)  # fmt: skip
    except subprocess.TimeoutExpired as error:
        msg = f"npm ci in {folder} took more than {INSTALL_TIMEOUT_S} s. Is the registry in npm's settings reachable?"
        raise EdgewiseError(msg) from error
    except OSError as error:
        msg = f"npm at {npm} cannot be started ({error.strerror}). Install it again: apt-get install nodejs npm"
        raise EnvironmentMissing(msg) from error
    if done.returncode:
        raise EdgewiseError(
            f"npm ci in {folder} failed: {_reason(done.stderr or done.stdout)}. It needs the network once, and Node.js "
            "18 or newer (apt-get install nodejs npm). Is the registry in npm's settings reachable?"
        )


def _reason(output: str) -> str:
    """Return npm's own reason from what it printed, without its prefix and without colours, in one line."""
    lines = [PREFIX.sub("", CONTROL.sub("", line)).strip() for line in output.splitlines()]
    telling = [line for line in lines if line and not line.startswith(ASIDE)]
    return (telling or ["it said nothing"])[0].rstrip(".")[:300]


def versions(folder: Path = HERE) -> dict[str, dict[str, str]]:
    """Return each browser runtime's package and version, as the lock file pins them."""
    lock = json.loads((folder / "package-lock.json").read_text())["packages"]
    return {id: {"package": name, "version": lock[f"node_modules/{name}"]["version"]} for id, name in NAMES.items()}
