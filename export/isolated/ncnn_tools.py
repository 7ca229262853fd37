"""ncnn's two programs that quantize. They are in no wheel: who wants ncnn's int8 builds them, and says where they are."""

import hashlib
import os
import shutil
from pathlib import Path

from export.isolated import Failed, until_end
from models.common import files, processes
from models.common.errors import Unsupported

PROGRAMS = ("ncnn2table", "ncnn2int8")
FOLDER = "EDGEWISE_NCNN_TOOLS"
BUILT_IN = ("", "tools/quantize", "build/tools/quantize")  # of the folder: where they are, ncnn's build, its sources
BUILD = (
    "git clone https://github.com/Tencent/ncnn && cmake -S ncnn -B ncnn/build -DNCNN_SIMPLEOCV=ON -DNCNN_VULKAN=OFF && "
    f"cmake --build ncnn/build --target {' '.join(PROGRAMS)} && export {FOLDER}=$PWD/ncnn/build"
)


def find() -> tuple[Path, Path]:
    """Return the two programs: of the folder in EDGEWISE_NCNN_TOOLS, else on the PATH.

    Raises Unsupported, with what builds them, where one is missing.
    """
    if place := os.environ.get(FOLDER):
        paths = [shutil.which(name, path=os.pathsep.join(f"{place}/{part}" for part in BUILT_IN)) for name in PROGRAMS]
        where = f"and not both are in {place}, which {FOLDER} names"
    else:
        paths = [shutil.which(name) for name in PROGRAMS]
        where = "which are in no wheel"
    if not all(paths):
        raise Unsupported(f"ncnn quantizes with its programs {' and '.join(PROGRAMS)}, {where}. To build them: {BUILD}")
    return Path(paths[0]), Path(paths[1])


_sha256 = files.while_unchanged(files.sha256)


def identity() -> str:
    """Return a digest of the programs, "" where they are missing: they decide the bytes of what they make."""
    try:
        digests = "".join(map(_sha256, find()))
    except Unsupported:
        return ""
    return hashlib.sha256(digests.encode()).hexdigest()


def run(program: Path, *arguments: str | Path) -> None:
    """Run one of the programs on one thread; raises Failed with its last words, Unsupported where it does not start."""
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        ended = until_end([program, *arguments], env, program.name)
    except OSError as error:
        raise Unsupported(f"{program.name} does not start ({error.strerror}). To build it anew: {BUILD}") from error
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or [processes.death(ended.returncode)]
        raise Failed(f"{program.name} failed: {lines[-1][:300]}")
