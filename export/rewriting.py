"""Applies exact rewrites (export/rewrites/) to a converted file, one by one, and keeps those whose logits are the same."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export import phases
from export.artifact import Rewrite
from export.rewrites import REWRITES
from export.schemes import Scheme

CLOSE = 1e-5  # of the largest logit: what float sums in another order may differ by


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """What was done to a file, its logits [N,K] now, and a note for each rewrite that was tried and not kept."""

    logits: np.ndarray
    rewrites: tuple[Rewrite, ...] = ()
    notes: tuple[str, ...] = ()


def applied(
    format_module: Any, file: Path, logits_of: Callable[[Path], np.ndarray], logits: np.ndarray, scheme: Scheme
) -> Rewriting:
    """Rewrite a file in place, by each rewrite of its format that keeps its logits.

    `logits_of` returns a file's logits [N,K] for the images that `logits` are the unchanged file's. Those of integer
    schemes must be the same to the last bit, those of float schemes within `CLOSE`.
    """
    tolerance = CLOSE * float(np.abs(logits).max()) if scheme.weights.startswith("float") else 0.0
    rewrites, notes, current = [], [], logits
    for name in getattr(format_module, "rewrites", ()):
        before = file.read_bytes()
        try:
            with phases.phase(phases.REWRITE):
                content, operators = format_module.rewritten(before, name)
                if not operators:
                    continue
                file.write_bytes(content)
                new = logits_of(file)
            difference = float(np.abs(new.astype(np.float64) - logits).max(initial=0.0))
            if difference <= tolerance:
                current = new
                rewrites.append(Rewrite(name=name, operators=tuple(operators), images=len(logits), difference=difference,
                                        bytes=len(content) - len(before)))  # fmt: skip
                continue
            reason = f"the logits would differ by {difference:.2g}"
        except (OSError, MemoryError):  # the machine's fault, and no reason to give another file than elsewhere
            raise
        except Exception as error:  # a graph that nobody thought of, or a runtime that refuses it
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
        file.write_bytes(before)
        notes.append(f"not rewritten ({REWRITES[name].TITLE}): {reason}")
    return Rewriting(logits=current, rewrites=tuple(rewrites), notes=tuple(notes))
