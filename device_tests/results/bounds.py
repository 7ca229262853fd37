"""The limit of a core: the fewest instructions for an inference's multiply-accumulates."""

from device_tests.contract import DESKTOP
from device_tests.results.placements import Operator, Placement
from export.artifact import Artifact
from export.schemes import SCHEMES
from models.common.records import Magnitude, Positive, Record

FLOAT32, INT8, INT16 = "float32", "int8", "int16"


class Instruction(Record, kw_only=True):
    """A vector instruction, and the most multiply-accumulates that it does."""

    name: str
    macs: Positive


FMLA, SMLAL16 = Instruction(name="FMLA", macs=4), Instruction(name="SMLAL", macs=4)
SMLAL8, SDOT, SMMLA = (
    Instruction(name="SMLAL", macs=8), Instruction(name="SDOT", macs=16), Instruction(name="SMMLA", macs=32),
)  # fmt: skip
# The best 128-bit instruction of each core for each arithmetic; wider vectors (SVE) can go beyond the limit. Arm's
# reference of instructions: https://developer.arm.com/architectures/instruction-sets/intrinsics
_NEON = {FLOAT32: FMLA, INT16: SMLAL16, INT8: SMLAL8}
_DOT, _MATRIX = {**_NEON, INT8: SDOT}, {**_NEON, INT8: SMMLA}
CORES = {
    **dict.fromkeys(("cortex-a53", "cortex-a72"), _NEON),
    **dict.fromkeys(("cortex-a55", "cortex-a76", "neoverse-n1"), _DOT),
    **dict.fromkeys(("cortex-a710", "neoverse-n2", "neoverse-v1", "max"), _MATRIX),
    # the emulator that counts has AVX2 and FMA, neither AVX-512 nor VNNI (devices/desktop.py)
    DESKTOP: {
        FLOAT32: Instruction(name="VFMADD", macs=8),
        INT16: Instruction(name="VPMADDWD", macs=16),
        INT8: Instruction(name="VPMADDUBSW", macs=32),
    },
}
# The core on which 8-bit artifacts must reach this share of the limit; for small networks less, because their
# layers are too short for the overhead of loops to vanish.
GOAL_CORE, GOAL, GOAL_SMALL, SMALL_MACS = "cortex-a76", 0.5, 0.25, 1_000_000
LANE = {"SDOT": 4, "SMMLA": 8}  # neighbouring channels that an instruction adds up in each lane


class Bound(Record, kw_only=True):
    """The share of a core's limit that a count reaches, and a description of the limit."""

    share: Magnitude
    limit: str


def arithmetic(scheme: str) -> str:
    """Return the dtype in which a scheme computes at best, on whatever runtime."""
    if SCHEMES[scheme].weights.startswith("float"):
        return FLOAT32
    return INT16 if SCHEMES[scheme].base == "int16x8" else INT8


def least(device: str, artifact: Artifact) -> float | None:
    """Return the fewest instructions of an inference of the artifact's whole batch; None where no limit is known."""
    if device not in CORES or not artifact.macs:
        return None
    kind = arithmetic(artifact.scheme)
    covered = 1.0 if kind == FLOAT32 or artifact.covered_macs is None else artifact.covered_macs
    macs = artifact.macs * max(artifact.batch, 1)
    return macs * (covered / CORES[device][kind].macs + (1 - covered) / CORES[device][FLOAT32].macs)


def bound(device: str, artifact: Artifact, instructions: int) -> Bound | None:
    """Return the share of the limit that a count of executed instructions reaches; None where no limit is known."""
    fewest = least(device, artifact)
    if fewest is None or not instructions:
        return None
    best = CORES[device][arithmetic(artifact.scheme)]
    return Bound(share=fewest / instructions, limit=f"{best.macs} multiply-accumulates per {best.name}")


def wasted(device: str, artifact: Artifact, instructions: int, placement: Placement | None) -> str:
    """Return a sentence on the layer that takes an 8-bit artifact below the goal; "" where the goal is reached."""
    reached = bound(device, artifact, instructions)
    goal = GOAL_SMALL if artifact.macs < SMALL_MACS else GOAL
    if device != GOAL_CORE or reached is None or arithmetic(artifact.scheme) != INT8 or reached.share >= goal:
        return ""
    begins = f"{reached.share:.0%} of the limit of {device}, where {goal:.0%} is the goal: "
    over = instructions - least(device, artifact)
    weighted = [o for o in placement.operators if o.weights] if placement else []
    losses = [loss for operator in weighted if (loss := _loss(operator, placement, CORES[device][INT8]))]
    if not losses:
        return f"{begins}which layer wastes it is not known, for instructions are counted of whole inferences"
    loss, layer = max(losses)
    others = "; where the others go is not known" if loss < 0.5 * over else ""
    return f"{begins}{layer}, at least {loss:,.0f} of the {over:,.0f} instructions above it{others}"


def _loss(operator: Operator, placement: Placement, best: Instruction) -> tuple[float, str] | None:
    """Return how many instructions a layer wastes at least, and why, as far as the placement shows."""
    name, needed = f"layer {operator.layer} ({operator.name})", operator.macs / best.macs
    if not operator.integer:
        return operator.macs / FMLA.macs - needed, f"{name} is computed in float"
    if placement.delegate and not operator.taken:
        return operator.macs - needed, f"{name} is left to the runtime's own kernels, which take one at a time"
    lane = LANE.get(best.name, 1)
    filled = operator.channels / (-(-operator.channels // lane) * lane) if operator.channels else 1.0
    if filled == 1:
        return None
    channels = f"{operator.channels} channel{'s' * (operator.channels > 1)}"
    return needed / filled - needed, f"{name} has {channels}, which fill {filled:.0%} of an {best.name}'s lanes"
