"""Which versions of its runtime still load an artifact and compute it right.

Each version is a file constraints/RUNTIME-VERSION.txt beside the pinned one. An old version may load an artifact and
give garbage without an error, so the golden images are compared.
"""

import hashlib
import json
from pathlib import Path

from msgspec import structs
from packaging.version import Version

from device_tests import current_results, onboard
from device_tests.cells import Cell
from device_tests.contract import Broken, Load
from device_tests.devices.desktop import command as on_desktop
from device_tests.onboard import probe
from device_tests.onboard.runtimes import RUNTIMES
from device_tests.results import compatibility as grids
from device_tests.results.compatibility import Grid, Trial
from device_tests.schedule import Closed
from device_tests.transport.dialogue import Conversations
from export import artifact as artifacts
from models.common import environments, files
from models.common.errors import EnvironmentMissing

TIMEOUT_S = 120.0
UNSETTLED = ("run_failed", "timed_out")  # outcomes to try again: the machine may have been the reason


def versions(runtime: str) -> dict[str, str]:
    """Return the environments of a runtime by version, the oldest first, with the pinned one."""
    constraints = environments.ROOT / "constraints"
    distribution = RUNTIMES[runtime].distributions[0]
    pinned = current_results.pins(runtime)[distribution].partition("+")[0]
    others = {file.stem.removeprefix(f"{runtime}-"): file.stem for file in constraints.glob(f"{runtime}-*.txt")}
    every = others | {pinned: runtime}
    return dict(sorted(every.items(), key=lambda item: Version(item[0])))


def run(cell: Cell, artifacts_folder: Path, results: Path, conversations: Conversations) -> Grid:
    """Try the versions that are missing or stale in the grid of an artifact; write the grid and return it.

    Raises DataError where the artifact is missing or broken.
    """
    sidecar = artifacts.sidecar_path(artifacts_folder, cell.recipe.id)
    artifact = artifacts.read(sidecar)
    load = Load(runtime=cell.runtime, artifact=artifacts.check(artifact, artifacts_folder), sidecar=sidecar,
                timeout_s=TIMEOUT_S)  # fmt: skip
    stored = current_results.held(grids.read, results, f"{artifact.id}@{cell.runtime}")  # a broken grid is replaced
    settled = {trial.key: trial for trial in (stored.trials if stored else ()) if trial.outcome not in UNSETTLED}
    trials = []
    for version, environment in versions(cell.runtime).items():
        pins = (environments.ROOT / "constraints" / f"{environment}.txt").read_text()
        code = [files.sha256(f) for f in (*onboard.PROBE, RUNTIMES.path(cell.runtime))]
        key = hashlib.sha256(json.dumps([pins, artifact.sha256, *code]).encode()).hexdigest()
        trials.append(settled.get(key) or _try(load, environment, version, key, conversations))
    tried = tuple(trial for trial in trials if trial.outcome != "skipped")
    grid = Grid(artifact=artifact.id, runtime=cell.runtime, artifact_sha256=artifact.sha256, trials=tuple(trials))
    if tried:
        grids.save(structs.replace(grid, trials=tried), results)
    return grid


def _try(load: Load, environment: str, version: str, key: str, conversations: Conversations) -> Trial:
    facts = {"version": version, "key": key}
    try:
        with conversations.loaded(on_desktop(probe.__file__, load, environment=environment), load) as (row, _):
            right, golden = row["golden"]
    except EnvironmentMissing as error:
        return Trial(outcome="skipped", reason=str(error), **facts)
    except Broken as broken:
        return Trial(outcome=broken.outcome, reason=broken.reason, **facts)
    except Closed:
        raise
    except Exception as error:  # the other versions can still be tried
        return Trial(outcome="run_failed", reason=f"unexpected: {type(error).__name__}: {error}", **facts)
    reason = f"{right} of {golden} golden images are answered as in the sidecar" if right < max(golden, 1) else ""
    return Trial(outcome="mismatch" if reason else "ok", reason=reason, **facts)
