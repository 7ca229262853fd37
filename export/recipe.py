"""A recipe: what names an artifact. It stands apart from the matrix, so that a new row makes no artifact stale."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, order=True)
class Recipe:
    """Model x format x scheme: one row of the matrix. Its `id` is file name, test id and report row."""

    model: str
    format: str
    scheme: str

    @property
    def id(self) -> str:
        return f"{self.model}-{self.format}-{self.scheme}"

    @property
    def framework(self) -> str:
        return self.model.split("_", 1)[0]
