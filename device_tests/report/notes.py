"""Notes for the reader of a report: what makes its figures worthless, and what they rest on."""

from device_tests.onboard.runtimes import is_timed
from device_tests.onboard.sampling import LOOK_QUICK
from device_tests.report.columns import set_names
from device_tests.report.groups import Group, by_device, hardware, of_several_machines
from device_tests.results.latency import EQUAL
from device_tests.results.row import Row

SETS = {"digits": "scikit-learn's digits, which are unlike the training images"}
# What a runtime without times stands for.
STANDS_FOR = {
    "mil_evaluator": "the arithmetic of the Core ML file, evaluated with NumPy, not Apple's runtime, which is on Apple's "
    "systems only",
    "tflite_micro": "a microcontroller's reference kernels on this machine: their answers and their arena are a "
    "microcontroller's, their times are not",
}


def warnings(groups: tuple[Group, ...]) -> list[str]:
    """Return sentences on what makes figures worthless for a reader who overlooks it."""
    rows = [r for g in groups for r in g.rows]
    lines = of_several_machines(by_device(rows))
    if any(r.dataset.name == "digits" for r in rows):
        lines.append("Judged on scikit-learn's digits, NOT MNIST: these figures say nothing about MNIST.")
    return lines


def quick(groups: tuple[Group, ...]) -> int:
    """Return how many results a quick run judged on fewer images; emulated devices always do, and are not counted."""
    rows = (r for g in groups if not g.emulated for r in g.rows if r.environment)
    return sum(_on_fewer(r) and is_timed(r.runtime) for r in rows)


def _on_fewer(row: Row) -> bool:
    """Tell whether a quick run left out images; a small set is judged whole."""
    return row.quick and (row.total or 0) >= LOOK_QUICK


def footnotes(groups: tuple[Group, ...]) -> list[str]:
    """Return sentences on the samples' sizes, on gaps and on the hardware."""
    rows = [r for g in groups for r in g.rows]
    ran = [r for r in rows if r.environment]
    lines = []
    if few := quick(groups):
        lines.append(f"{few} of {len(ran)} results are quick ones, on fewer images: see n.")
    if any(_on_fewer(r) for g in groups if g.emulated for r in g.rows):
        lines.append("Emulated devices judge on the first 1,000 images, with --full on all: see n.")
    for name in dict.fromkeys(r.runtime for r in ran if r.runtime in STANDS_FOR):
        lines.append(f"{name}: {STANDS_FOR[name]}. Judged on the first 1,000 images, with --full on all: see n.")
    if noted := sum(bool(r.notes) for r in ran):
        lines.append(f"{noted} rows have a note (* in the terminal), such as fewer samples or a busy machine.")
    if missing := sum(r.outcome == "skipped" for r in rows):
        lines.append(
            f"{missing} of {len(rows)} cells have no result that counts (not exported, not run, or stale): the page says which."
        )
    threads = {r.id: f", {r.threads} thread per inference" if r.threads else "" for r in ran}
    lines += sorted({f"{r.device}: {hardware(r.environment)}{threads[r.id]}." for r in ran})
    lines += _columns(rows)
    batches = any(r.batch > 1 for r in rows)
    larger = "; those of an artifact for a larger batch are of the whole batch" if batches else ""
    lines.append(f"Times and instructions are of one image{larger}. Memory is the peak of resident memory over that of the runtime "
                 "with the reference images. Times of one machine: trust ratios, not microseconds.")  # fmt: skip
    return lines


def _columns(rows: list[Row]) -> list[str]:
    lines = []
    if any(r.latency_ratio is not None for r in rows):
        lines.append("/ float32 is the latency against the float32 row of the same runtime, interleaved in one run: equal within "
                     f"{EQUAL:.0%}, too noisy to say where its interval reaches over that border. / eager, of runs apart, stands only "
                     "where there is no such run.")  # fmt: skip
    if any(r.compared for r in rows):
        lines.append(
            "As desktop: on how many images the logits are the desktop's on the same runtime, to the last bit."
        )
    for name in set_names(rows):
        lines.append(f"{name} %: top-1 on {SETS.get(name, 'the evaluation set of that name')}.")
    if models := sorted({r.recipe.model for r in rows if r.probabilities}):
        lines.append(
            f"The outputs of {', '.join(models)} are probabilities already: the calibration error takes them as they are."
        )
    for place in sorted({(r.device, r.bound) for r in rows if r.bound_share is not None}):
        lines.append(f"of limit %, {place[0]}: the fewest instructions that the multiply-accumulates can take, {place[1]}, "
                     "as a share of those that were executed.")  # fmt: skip
    if any(r.roof_share is not None for r in rows):
        lines.append("of peak %: of the multiply-accumulates that one core of this machine was seen to do in a second.")
    if any(r.rewrites for r in rows):
        lines.append(
            "rewrites: what is left of the instructions on an emulated core, or of the time here, with the rewrites of the "
            'file; its logits are the same. `nox -s "benchmarks(rewrites)"` measures it.'
        )
    if any(r.covered_share is not None for r in rows):
        lines.append(
            "weights % and MACs %: the share that is stored in the scheme's own dtype, and computed with that."
        )
    return lines
