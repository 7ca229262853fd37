"""A recipe: what names an artifact. It stands apart from the matrix, so that a new row makes no artifact stale."""

from dataclasses import dataclass
from typing import Self

from export.formats import FORMATS
from models import networks
from models.spec import Framework


@dataclass(frozen=True, kw_only=True, order=True)
class Recipe:
    """Model x format x scheme: one row of the matrix. Its `id` is file name, test id and report row."""

    model: str
    format: str
    scheme: str

    @classmethod
    def parse(cls, id: str) -> Self:
        """Return the recipe of an id; raises ValueError for what is none."""
        model, format, scheme = id.split("-")
        return cls(model=model, format=format, scheme=scheme)

    @property
    def id(self) -> str:
        return f"{self.model}-{self.format}-{self.scheme}"

    @property
    def framework(self) -> Framework:
        return networks.framework(self.model)

    @property
    def family(self) -> str:
        """What it is made with: one process makes the recipes of a family, for they share imports and conversions."""
        name = getattr(FORMATS[self.format], "family", f"{self.format} of {{framework}}")
        return name.format(framework=self.framework)

    @property
    def suffix(self) -> str:
        """What the artifact's file name ends with."""
        module = FORMATS[self.format]
        return module.suffix_of(self.model) if hasattr(module, "suffix_of") else module.suffix
