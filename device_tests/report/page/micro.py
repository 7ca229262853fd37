"""The .tflite files on microcontrollers and NPUs: measured arenas, and vela's estimates."""

from collections.abc import Iterable, Mapping
from typing import Any

from device_tests.report.advice import ARENA_BYTES
from device_tests.results.npu import Npu
from device_tests.results.row import Row
from export.recipe import Recipe
from export.schemes import SCHEMES

MICRO = "tflite_micro"


def of(rows: Iterable[Row], npus: Mapping[str, Npu]) -> dict[str, Any] | None:
    """Return a line per artifact that ran on TFLite Micro or was compiled, and the schemes that an NPU takes whole.

    Return None where there is no such artifact.
    """
    ran = {row.artifact: row for row in rows if row.runtime == MICRO}
    recipes = {id: Recipe.parse(id) for id in (*ran, *npus)}
    if not recipes:
        return None
    every = sorted(recipes, key=lambda id: (recipes[id].model, list(SCHEMES).index(recipes[id].scheme)))
    shares: dict[str, list[float]] = {}
    for id, npu in npus.items():
        shares.setdefault(recipes[id].scheme, []).append(npu.share)
    return {
        "rows": [_line(id, ran.get(id), npus.get(id)) for id in every],
        "accelerators": next(([one.accelerator for one in npu.compiled] for npu in npus.values()), []),
        "whole": [scheme for scheme in SCHEMES if shares.get(scheme) and min(shares[scheme]) == 1.0],
        "version": next((npu.version for npu in npus.values()), ""),
    }


def _line(id: str, row: Row | None, npu: Npu | None) -> dict[str, Any]:
    arena = row.arena_bytes if row else None
    return {
        "artifact": id,
        "arena_bytes": arena,
        "fits": arena is not None and arena <= ARENA_BYTES,
        "size_bytes": row.size_bytes if row else None,
        "reason": row.reason if row else "",
        "compiled": npu.compiled if npu else (),
    }
