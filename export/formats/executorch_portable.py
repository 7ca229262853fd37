"""ExecuTorch without a delegate: the baseline that shows what a missing one costs."""

from pathlib import Path

from export.formats import _executorch_file, executorch
from export.source import Source

suffix = ".pte"
tools = executorch.tools
family = executorch.family
inspect = _executorch_file.contents
run = executorch.run
options = executorch.options


def convert(source: Source, scheme: str, target: Path) -> None:
    executorch.lower(source, scheme, target, [])
