"""Builds report/index.html: one file, no request leaves it, and everything on it comes from sidecars and results."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from device_tests import report
from device_tests.advice import TIE, is_eager
from device_tests.explain import receipt
from device_tests.explain import run as explain
from device_tests.explain.receipt import Receipt
from device_tests.measurement import Measurement
from device_tests.page import snippets
from device_tests.report import Group
from export import artifact as artifacts
from export.artifact import Artifact
from export.schemes import SCHEMES
from models import files, reference
from models.errors import DataError

HERE = Path(__file__).parent
BARS = 40  # of a latency histogram, which ends at its 99th percentile
PARTS = 12  # of a file, the largest
FLIPS = 16  # pictures per cell; the page says how many there are in all


def _ratio(row: Measurement) -> str:
    low, high = row.latency_ratio_low, row.latency_ratio_high
    verdict = "slower" if low > 1 else "faster" if high < 1 else "no difference"
    return f"× {row.latency_ratio:.2f}, {verdict} (95 %: {low:.2f} to {high:.2f}), interleaved in one run"


def _digits(row: Measurement) -> str:
    return f"{row.digits_top1:.1%} of {row.digits['total']:,} right, {row.digits_agreement:.1%} as the float source"


# Figures beside those of the report's table, and the field that is None where they were not measured.
EXTRAS = (
    ("calibration error", "ece", lambda r: f"{r.ece:.4f}, the float source's {r.source_ece:.4f}"),
    ("other digits", "digits", _digits),
    ("instructions", "instructions", lambda r: f"{r.instructions:,} per inference on {r.instructions_cpu}"),
    ("latency / float32", "latency_ratio", _ratio),
    ("MACs on a delegate", "delegated_share", lambda r: f"{r.delegated_share:.1%}"),
)


def write(
    groups: tuple[Group, ...],
    margin_points: float,
    folder: Path,
    *,
    artifacts_folder: Path,
    results_folder: Path,
) -> Path:
    """Write the page and return its path; the groups are the report's own, so that both say the same."""
    rows = [row for group in groups for row in group.rows]
    known = {id: _artifact(artifacts_folder, id) for id in dict.fromkeys(r.artifact for r in rows)}
    page = _environment().get_template("page.html.j2").render(
        groups=groups,
        rows=rows,
        artifacts=known,
        runs={id: [r for r in rows if r.artifact == id] for id in known},
        receipts=_receipts(results_folder, rows, known),
        pairs=_pairs(groups),
        facts=_facts(groups, rows),
        data=_data(rows, known, artifacts_folder) | {"margin_points": margin_points, "tie": TIE},
        vega=_vega(),
        **{name: (HERE / f"page.{name}").read_text() for name in ("css", "js")},
    )  # fmt: skip
    target = folder / "index.html"
    files.write_bytes(target, page.encode())
    return target


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"bytes": _bytes, "date": _date}
    environment.globals |= {
        "columns": report.COLUMNS,
        "explanation": receipt.explanation,
        "extras": EXTRAS,
        "parts_shown": PARTS,
        "flips_shown": FLIPS,
        "schemes": SCHEMES,
        "snippets": snippets.of,
    }
    return environment


def _bytes(count: float) -> str:
    return f"{count / 1e6:,.2f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} KB"


def _date(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%d %B %Y, %H:%M %Z") if moment else "at an unknown time"


@cache
def _vega() -> str:
    """Return Vega-Lite with what it needs as one module script, from the package's own bundle."""
    import vl_convert

    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _artifact(folder: Path, id: str) -> Artifact | None:
    try:
        return artifacts.read(artifacts.sidecar_path(folder, id))
    except DataError:
        return None  # its rows say why


def _receipts(folder: Path, rows: list[Measurement], known: dict[str, Artifact | None]) -> dict[str, Receipt]:
    """Return the execution receipts that still hold, by row."""
    found = {}
    for row in rows:
        artifact, file = known[row.artifact], folder / "receipts" / f"{row.artifact}@{row.runtime}.json"
        if artifact and (current := explain.current(file, artifact, row.runtime)):
            found[row.id] = current
    return found


def _pairs(groups: tuple[Group, ...]) -> list[dict[str, Any]]:
    """Return what PyTorch's and TensorFlow's networks both come in: the same format, scheme and runtime."""
    found: dict[tuple[str, ...], dict[str, Measurement]] = {}
    for row in (r for g in groups for r in g.rows if not is_eager(r)):
        model, *rest = row.artifact.split("-")
        found.setdefault((*rest, row.runtime), {})[model] = row
    return [
        {"key": key, "rows": by_model, "floats": found.get((key[0], "float32", key[2]), {})}
        for key, by_model in found.items()
        if len({model.split("_")[0] for model in by_model}) > 1
    ]


def _facts(groups: tuple[Group, ...], rows: list[Measurement]) -> dict[str, Any]:
    """Return what the figures stand on."""
    ran = [r for r in rows if r.environment]
    sets = {(d["name"], d["split"], d["images"], d["sha256"]) for r in rows if len(d := r.dataset) > 1}
    dates = sorted(r.environment["date"] for r in ran if "date" in r.environment)
    versions = {(r.runtime, name, v) for r in ran for name, v in r.environment.get("runtime", {}).items()}
    return {
        "digits": any(r.dataset.get("name") == "digits" for r in rows),
        "quick": sum(r.quick for r in ran),
        "ran": len(ran),
        "ok": sum(r.outcome == "ok" for r in rows),
        "dates": (*dates[:1], *dates[-1:]),
        "datasets": [
            f"Judged on {name}, {split}: {n:,} images, SHA-256 {digest}." for name, split, n, digest in sorted(sets)
        ],
        "versions": sorted(versions),
        "footnotes": report.footnotes(groups),
    }


def _data(rows: list[Measurement], known: dict[str, Artifact | None], folder: Path) -> dict[str, Any]:
    """Return what the page's script reads: the rows, and the pictures [28,28] in base64 by model and index."""
    pictures: dict[str, dict[int, str]] = {}
    for id, artifact in known.items():
        for golden in artifact.golden if artifact else ():
            pictures.setdefault(id.split("-")[0], {})[golden["index"]] = golden["image_u8"]
    for model, indices in _flipped(rows).items():
        images = reference.load(reference.path(folder, model)).images
        pictures.setdefault(model, {}).update((i, b64encode(images[i].tobytes()).decode()) for i in indices)
    return {"rows": [_row(r) for r in rows], "pictures": pictures}


def _flipped(rows: list[Measurement]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for row in rows:
        found.setdefault(row.artifact.split("-")[0], set()).update(f["index"] for f in row.flips[:FLIPS])
    return {model: indices for model, indices in found.items() if indices}


def _row(row: Measurement) -> dict[str, Any]:
    model, format_name, scheme = row.artifact.split("-")
    names = ("id", "artifact", "runtime", "outcome", "size_bytes", "compressed_bytes", "top1", "top1_loss", "agree",
             "total", "max_abs_error", "p50_ns")  # fmt: skip
    return {
        **{name: getattr(row, name) for name in names},
        **{"model": model, "format": format_name, "scheme": scheme, "eager": is_eager(row)},
        "histogram": list(_histogram(row)),
    }


def _histogram(row: Measurement) -> Iterator[dict[str, float]]:
    """Yield bars in microseconds, up to the 99th percentile: one slow sample would hide the shape of the rest."""
    if not row.latencies_ns:
        return
    samples = np.array(row.latencies_ns) / 1e3
    counts, edges = np.histogram(samples, bins=BARS, range=(samples.min(), np.quantile(samples, 0.99)))
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        yield {"low": round(float(low), 3), "high": round(float(high), 3), "count": int(count)}
