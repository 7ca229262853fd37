"""The C files of this folder, compiled once into the cache."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from models import data
from models.common import files
from models.common.errors import EnvironmentMissing

SOURCES = Path(__file__).parent
INSTALL = "On Debian and Ubuntu install one with: sudo apt-get install gcc libc6-dev"


def build(name: str, *flags: str, machine: str = "") -> Path:
    """Return the compiled `name`.c; `machine` names this machine where the code is for it alone, else "".

    Raises EnvironmentMissing where there is no compiler, or where it fails, with its message.
    """
    source = SOURCES / f"{name}.c"
    if not shutil.which("cc"):
        raise EnvironmentMissing(f"{source.name} needs a C compiler, and there is no cc. {INSTALL}")
    key = hashlib.sha256("\0".join((source.read_text(), *flags, machine)).encode()).hexdigest()[:16]
    target = data.cache_folder() / f"{name}-{key}"
    if not target.exists():
        with files.whole(target) as temporary:
            done = subprocess.run(["cc", *flags, "-o", temporary, source], capture_output=True, text=True)
            if done.returncode:
                raise EnvironmentMissing(f"cc does not compile {source.name}: {done.stderr.strip()}\n{INSTALL}")
    return target
