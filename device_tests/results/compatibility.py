"""Compatibility grids: the outcome of an artifact on each version of a runtime."""

from device_tests.results.measurement import Outcome
from device_tests.results.store import Store
from models.common.records import Record, Sha256


class Trial(Record, kw_only=True):
    """The outcome of an artifact on one version of a runtime; `key` is a digest of its inputs."""

    version: str
    outcome: Outcome
    reason: str
    key: str


class Grid(Record, kw_only=True):
    """The trials of an artifact on the versions of one runtime, the oldest first."""

    artifact: str
    runtime: str
    artifact_sha256: Sha256
    trials: tuple[Trial, ...]

    @property
    def summary(self) -> str:
        """The versions that compute the artifact right, in words, with newer ones that no longer do."""
        tried = [trial for trial in self.trials if trial.outcome != "skipped"]
        good = [trial.version for trial in tried if trial.outcome == "ok"]
        if not good:
            return "none that was tried"
        newer = tried[[trial.version for trial in tried].index(good[0]) :]
        bad = [trial.version for trial in newer if trial.outcome != "ok"]
        return f"{good[0]} and newer" + (f", but not {', '.join(bad)}" if bad else "")


def in_the_app(runtime: str) -> str:
    """Return the name of the grid of an engine in the Android app, which has versions of its own."""
    return f"{runtime}_android"


GRIDS = Store(
    kind=Grid,
    folder="compatibility",
    what="compatibility grid",
    remedy="Delete it and run: nox -s compatibility",
    id=lambda grid: f"{grid.artifact}@{grid.runtime}",
)
path, save, read = GRIDS.path, GRIDS.save, GRIDS.read
