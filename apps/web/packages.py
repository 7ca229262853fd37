"""The npm packages that the page uses: installed from the lock file, and which few of their files are shipped."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from models import files
from models.errors import EdgewiseError, EnvironmentMissing

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 600

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
# in place of LiteRT's other pair where a browser has no relaxed SIMD
INSTEAD = (
    "@litertjs/core/wasm/litert_wasm_compat_internal.js",
    "@litertjs/core/wasm/litert_wasm_compat_internal.wasm",
)
NAMES = {"litertjs": "@litertjs/core", "onnxruntime_web": "onnxruntime-web"}


def shipped() -> tuple[str, ...]:
    """Return every file that is copied, relative to node_modules."""
    return (*PAGE, *(file for runtime in RUNTIMES.values() for file in runtime), *INSTEAD)


def install(folder: Path = HERE) -> Path:
    """Return node_modules as package-lock.json says, installed first where it is not; raises EnvironmentMissing."""
    installed, lock = folder / "node_modules", folder / "package-lock.json"
    stamp = installed / "edgewise.sha256"
    wanted = files.sha256(lock)
    if stamp.exists() and stamp.read_text() == wanted:
        return installed
    npm = shutil.which("npm")
    if npm is None:
        msg = "npm is not installed, which fetches the browser runtimes. Install it: apt-get install nodejs npm"
        raise EnvironmentMissing(msg)
    command = (npm, "ci", "--ignore-scripts")  # what is shipped is in the packages; nothing of theirs needs to run
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        msg = f"npm ci in {folder} took more than {INSTALL_TIMEOUT_S} s. Is the registry in npm's settings reachable?"
        raise EdgewiseError(msg) from error
    if done.returncode:
        told = next((line for line in done.stderr.splitlines() if "error" in line.lower()), done.stderr[:300])
        msg = f"npm ci in {folder} failed: {told.strip()}. It needs the network once; is npm's registry reachable?"
        raise EdgewiseError(msg)
    stamp.write_text(wanted)
    return installed


def versions(folder: Path = HERE) -> dict[str, dict[str, str]]:
    """Return each browser runtime's package and version, as the lock file pins them."""
    pinned = json.loads((folder / "package-lock.json").read_text())["packages"]
    return {
        runtime: {"package": name, "version": pinned[f"node_modules/{name}"]["version"]}
        for runtime, name in NAMES.items()
    }
