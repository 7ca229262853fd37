"""Builds report/index.html: one file that requests nothing; everything on it comes from sidecars and results."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from msgspec import to_builtins

from device_tests import current_results
from device_tests.contract import DESKTOP
from device_tests.onboard.pixels import golden_image
from device_tests.onboard.runtimes import is_timed
from device_tests.report import columns, notes
from device_tests.report.advice import TIE, can_ship, fit, is_eager
from device_tests.report.engines import races
from device_tests.report.groups import Group, hardware
from device_tests.report.page import micro, pictures, snippets
from device_tests.report.sweep import sweeps
from device_tests.results import bounds, interleaved, layers, npu, placements
from device_tests.results import shipping as footprints
from device_tests.results.latency import TOO_NOISY, Interval
from device_tests.results.row import Row
from export import artifact as artifacts
from export.schemes import SCHEMES
from models import networks, reference
from models.common import files

Artifacts = Mapping[str, artifacts.Artifact | None]  # by id; None where its sidecar cannot be read

HERE = Path(__file__).parent
BARS = 40  # bars of a latency histogram
PARTS = 12  # the largest parts of a file that are shown
LOGITS = 12  # columns of golden vectors; of more classes the largest few are listed
FLIPS = 16  # pictures per cell; the page says how many there are in all


def _calibration(row: Row) -> str:
    taken = "; the outputs are probabilities already" if row.probabilities else ""
    return f"{row.ece:.4f}, the float source's {row.source_ece:.4f}{taken}"


# Figures beside those of the report's table, and the field that is None where they were not measured.
EXTRAS = (
    ("calibration error", "ece", _calibration),
    ("instructions", "instructions", lambda r: f"{r.instructions:,} per inference on {r.instructions_cpu}"),
    ("share of the limit", "bound_share", lambda r: f"{r.bound_share * 100:.1f} % of what the core can do: {r.bound}"),
    ("arena", "arena_bytes", lambda r: f"{r.arena_bytes:,} bytes"),
    ("MACs on a delegate", "delegated_share", lambda r: f"{r.delegated_share * 100:.1f} %"),
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What separate runs left: current placements and times by row, layers and NPUs by artifact, weights by runtime."""

    placements: Mapping[str, placements.Placement]
    timings: Mapping[str, interleaved.Timing]
    layers: Mapping[str, layers.Layers]
    npus: Mapping[str, npu.Npu]
    weights: footprints.Weights


def collect(results: Path, rows: Iterable[Row], artifacts: Artifacts) -> Evidence:
    """Return what the results folder holds for these rows and their artifacts; a broken file counts as missing."""
    there = {row.id: (row, artifact) for row in rows if (artifact := artifacts[row.artifact])}
    held = current_results.held
    names = dict.fromkeys(f"{row.runtime}@{row.device}" for row, _ in there.values())
    timings = (timing for name in names for timing in held(interleaved.read, results, name) or ())
    readable = {id: artifact for id, artifact in artifacts.items() if artifact}
    return Evidence(
        placements={
            id: placement
            for id, (row, artifact) in there.items()
            if row.device == DESKTOP and (placement := held(current_results.placement, results, artifact, row.runtime))
        },
        timings={t.id: t for t in timings if t.id in there and t.artifact_sha256 == there[t.id][1].sha256},
        layers={id: record for id, one in readable.items() if (record := held(current_results.layers, results, one))},
        npus={id: record for id, one in readable.items() if (record := held(current_results.npu, results, one))},
        weights=held(footprints.read, results / footprints.FILE) or {},
    )


def write(
    groups: tuple[Group, ...], margin_points: float, folder: Path, *, artifacts_folder: Path, results_folder: Path
) -> Path:
    """Write the page and return its path; the groups are the report's own, so that both agree."""
    rows = [row for group in groups for row in group.rows]
    files_of = {id: artifacts.sidecar_path(artifacts_folder, id) for id in dict.fromkeys(r.artifact for r in rows)}
    # where one cannot be read, its rows say why
    sidecars = {id: current_results.held(artifacts.read, file) for id, file in files_of.items()}
    models = list(dict.fromkeys(group.model for group in groups))
    held = collect(results_folder, rows, sidecars)
    page = _environment().get_template("page.html.j2").render(
        groups=groups,
        rows=rows,
        columns=columns.all_columns(rows),
        models=models,
        places=_places(groups),
        artifacts=sidecars,
        runs={id: [r for r in rows if r.artifact == id] for id in sidecars},
        evidence=held,
        pairs=_pairs(groups),
        sweeps=sweeps(groups),
        races=races(groups),
        ships=_ships(rows, models, margin_points, held.weights),
        micro=micro.of(rows, held.npus),
        npu_label=npu.LABEL,
        facts=_facts(groups, rows),
        data=_data(groups, sidecars, held, artifacts_folder) | {"margin_points": margin_points, "tie": TIE},
        vega=_vega(),
        **{name: (HERE / f"page.{name}").read_text() for name in ("css", "js")},
    )  # fmt: skip
    target = folder / "index.html"
    files.write_bytes(target, page.encode())
    return target


def _environment() -> jinja2.Environment:
    environment = snippets.templates(HERE, autoescape=True)
    environment.filters |= {"enumerated": enumerate, "bytes": _bytes, "date": _date, "time": _time, "ratio": _ratio}
    environment.globals |= {
        "bad_sqnr_db": layers.BAD_SQNR_DB,
        "class_name": class_name,
        "contract": snippets.contract,
        "takes": snippets.takes,
        "wasted": _wasted,
        "why_expected": placements.why_expected,
        "extras": EXTRAS,
        "p50_ratio": _p50_ratio,
        "parts_shown": PARTS,
        "flips_shown": FLIPS,
        "logits_shown": LOGITS,
        "is_timed": is_timed,
        "machine": hardware,
        "refusals": layers.NOT_SHOWN,
        "schemes": SCHEMES,
        "snippets": snippets.of,
    }
    return environment


def class_name(artifact: artifacts.Artifact | None, index: int) -> str:
    """Return a class' name, its index where the sidecar has no name, "no class" for an index below 0."""
    if index < 0:
        return "no class"
    return artifact.labels[index] if artifact and index < len(artifact.labels) else str(index)


def _bytes(count: float) -> str:
    return f"{count / 1e6:,.2f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB"


def _time(interval: Interval | None) -> str:
    if interval is None:
        return "too few samples to say"
    return f"{interval.value / 1e3:,.1f} µs (95 %: {interval.low / 1e3:,.1f} to {interval.high / 1e3:,.1f})"


def _ratio(ratio: Interval) -> str:
    verdict = ratio.verdict if ratio.verdict == TOO_NOISY else f"{ratio.verdict} than float32"
    return f"× {ratio.value:.3f} (95 %: {ratio.low:.3f} to {ratio.high:.3f}): {verdict}"


def _wasted(row: Row, artifact: artifacts.Artifact | None, held: Evidence) -> str:
    """Return which layer takes a row below the goal of its core, as far as the desktop's placement shows."""
    if artifact is None or row.instructions is None:
        return ""
    placement = held.placements.get(f"{row.artifact}@{row.runtime}@{DESKTOP}")
    return bounds.wasted(row.device, artifact, row.instructions, placement)


def _p50_ratio(row: Row, float_row: Row | None) -> str:
    """Return a row's latency relative to float32: of one interleaved run, if there is one."""
    if row.latency_ratio is not None:
        return columns.interleaved(row)
    return f"× {row.p50_ns / float_row.p50_ns:.2f}" if float_row and float_row.p50_ns else ""


def _date(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).strftime("%d %B %Y, %H:%M %Z")
    except ValueError:  # no date, or garbage from a file
        return "at an unknown time"


@cache
def _vega() -> str:
    """Return Vega-Lite and its dependencies as one module script, from the package's own bundle."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _places(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    """Return the facts of each place: its hardware, how many cells are ok, whether times were taken."""
    rows_of: dict[str, list[Row]] = defaultdict(list)
    for group in groups:
        rows_of[group.place] += group.rows
    return [
        {
            "name": place,
            "machine": next((hardware(r.environment) for r in rows if r.environment), "nothing ran here"),
            "runtimes": list(dict.fromkeys(r.runtime for r in rows)),
            "rows": len(rows),
            "ok": sum(r.outcome == "ok" for r in rows),
            "timed": any(r.latencies_ns for r in rows),
            "compared": sum(r.compared is not None for r in rows),
            "same": sum(r.compared is not None and r.same == r.compared for r in rows),
        }
        for place, rows in rows_of.items()
    ]


def _ships(rows: list[Row], models: list[str], margin_points: float, weights: footprints.Weights) -> dict[str, Any]:
    """Return, per runtime and network, the smallest artifact within the margin with its libraries."""
    runtimes = []
    for runtime in sorted(weights.values(), key=lambda w: w.compressed_bytes):
        own = [r for r in fit(rows, margin_points) if r.runtime == runtime.runtime]
        least = {}
        for model in models:
            of_model = (r for r in own if r.artifact.startswith(f"{model}-"))
            totals = [(total, r) for r in of_model if (total := footprints.total_bytes(r, weights))]
            if totals:
                total, row = min(totals, key=lambda pair: pair[0])
                least[model] = {"artifact": row.artifact, "total_bytes": total, "share": row.compressed_bytes / total}
        runtimes.append({"runtime": runtime, "least": least})
    shares = [one["share"] for row in runtimes for one in row["least"].values()]
    return {"rows": runtimes, "summary": _dominance(shares, runtimes) if shares else ""}


def _dominance(shares: list[float], runtimes: list[dict[str, Any]]) -> str:
    heaviest, most = runtimes[-1]["runtime"], sum(share < 0.5 for share in shares)
    model = f"the model is {min(shares) * 100:.2g} % to {max(shares) * 100:.2g} % of what ships"
    weight = f"{heaviest.runtime} weighs most, {_bytes(heaviest.compressed_bytes)}"
    return f"The runtime dominates in {most} of {len(shares)} cases below: {model}. {weight}."


def _pairs(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    """Return the rows of the same format, scheme, runtime and place whose networks come from both frameworks."""
    timed = {g.place for g in groups if any(row.latencies_ns for row in g.rows)}
    by_kind: dict[tuple[str, ...], dict[str, Row]] = defaultdict(dict)
    for group in groups:
        for row in group.rows if group.place in timed else ():
            if not is_eager(row):
                by_kind[row.recipe.format, row.recipe.scheme, row.runtime, group.place][group.model] = row
    return [
        {"key": key, "rows": by_model, "floats": by_kind.get((key[0], "float32", *key[2:]), {})}
        for key, by_model in by_kind.items()
        if len({networks.framework(model) for model in by_model}) > 1
    ]


def _facts(groups: tuple[Group, ...], rows: list[Row]) -> dict[str, Any]:
    ran = [r for r in rows if r.environment]
    sets = {(d.name, d.split, d.images, d.sha256) for r in rows if (d := r.dataset).sha256}
    dates = sorted(r.environment.date for r in ran)
    versions = {(r.runtime, name, v) for r in ran for name, v in r.environment.runtime.items()}
    judged = "Judged on {}, {}: {:,} images, SHA-256 {}."
    return {
        "warnings": notes.warnings(groups),
        "quick": notes.quick(groups),
        "ran": len(ran),
        "ok": sum(r.outcome == "ok" for r in rows),
        "dates": (*dates[:1], *dates[-1:]),
        "datasets": [judged.format(*facts) for facts in sorted(sets)],
        "versions": sorted(versions),
        "footnotes": notes.footnotes(groups),
    }


def _data(groups: tuple[Group, ...], sidecars: Artifacts, held: Evidence, folder: Path) -> dict[str, Any]:
    """Return the data of the page's script: the rows, and the pictures by model and index (pictures.py)."""
    drawn: dict[str, dict[int, pictures.Picture]] = {}
    for artifact in sidecars.values():
        for golden in artifact.golden if artifact else ():
            with suppress(ValueError):  # it holds no image of this shape, and the page shows none
                image = golden_image(to_builtins(golden), to_builtins(artifact))
                drawn.setdefault(artifact.model, {})[golden.index] = pictures.picture(image)
    flipped: dict[str, set[int]] = {}
    for group in groups:
        flipped.setdefault(group.model, set()).update(f.index for row in group.rows for f in row.flips[:FLIPS])
    for model, indices in flipped.items():
        if indices:
            images = reference.load(reference.path(folder, model)).images
            drawn.setdefault(model, {}).update((i, pictures.picture(images[i])) for i in indices)
    return {"rows": [row for group in groups for row in _rows(group, held)], "pictures": drawn}


def _rows(group: Group, held: Evidence) -> Iterator[dict[str, Any]]:
    """Yield the rows with top-1 as on the images of the row that was judged on most.

    A slow one is judged on the first few, which may be easier than all: what it loses there is taken from the float source's
    top-1 on all.
    """
    widest = max((r for r in group.rows if r.total), key=lambda r: r.total, default=None)
    for row in group.rows:
        top1 = widest.top1 + widest.top1_loss - row.top1_loss if row.total else None
        yield _row(row, group.place, held) | {"top1": None if top1 is None else round(top1, 9)}


def _row(row: Row, place: str, held: Evidence) -> dict[str, Any]:
    names = ("id", "artifact", "runtime", "outcome", "size_bytes", "compressed_bytes", "top1_loss", "agree", "total",
             "max_abs_error", "p50_ns")  # fmt: skip
    return {
        **{name: getattr(row, name) for name in names},
        **asdict(row.recipe),
        **{"eager": is_eager(row), "ships": can_ship(row)},
        "histogram": list(_histogram(row)),
        "place": place,
        "shipped_bytes": footprints.total_bytes(row, held.weights),
        "runtime_bytes": held.weights[row.runtime].compressed_bytes if row.runtime in held.weights else None,
    }


def _histogram(row: Row) -> Iterator[dict[str, float]]:
    """Yield bars in microseconds, up to the 99th percentile: one slow sample would hide the shape of the others."""
    if not row.latencies_ns:
        return
    samples = np.array(row.latencies_ns) / 1e3
    counts, edges = np.histogram(samples, bins=BARS, range=(samples.min(), np.quantile(samples, 0.99)))
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        yield {"low": round(float(low), 3), "high": round(float(high), 3), "count": int(count)}
