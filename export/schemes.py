"""Schemes: how numbers are stored and computed, and what a conversion must show to deserve the name."""

import fnmatch
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from models import networks
from models.common.errors import Unsupported
from models.common.records import Record, Share
from models.own import settings
from models.own.settings import BASES, Options, SchemeSettings

FILE = Path(__file__).with_suffix(".toml")
NO_OPTIONS = Options()
QAT_BATCH = 64
# 1e-4 moved 0.20 % of the answers on held-out training images away from the source, this 0.06 %
QAT_LEARNING_RATE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What is promised by a scheme's name; `export/schemes.toml` says what the limits mean.

    `options` are what the user said, `in_force` these on top of the base's own; `static` schemes calibrate activations,
    `trained` ones fine-tune with simulated quantization.
    """

    name: str
    base: str  # the built-in one whose conversion it is, itself for these
    options: Options = NO_OPTIONS
    in_force: Options
    title: str
    weights: str
    max_error: float
    min_agree: float
    static: bool = False
    trained: bool = False

    def __str__(self) -> str:
        """Return its title and the options in force, as edgewise.toml has them."""
        return "; ".join(filter(None, (self.title, described(self.in_force))))


class _BuiltIn(Options, kw_only=True, forbid_unknown_fields=True):
    """A built-in one: its options, and what the name promises."""

    title: str
    weights: str
    max_error: Share
    min_agree: Share = 0.5
    static: bool = False
    trained: bool = False

    def scheme(self, name: str) -> Scheme:
        promised = {name: getattr(self, name) for name in _BuiltIn.__annotations__ if name != "scheme"}
        return Scheme(name=name, base=name, in_force=Options(**self.given), **promised)


class _File(Record, kw_only=True, forbid_unknown_fields=True):
    schemes: dict[str, _BuiltIn]


class _Schemes(Mapping[str, Scheme]):
    """The built-in ones, and those that the user's edgewise.toml defines."""

    @cached_property
    def defaults(self) -> Options:
        """The options that hold where nobody says otherwise; each is the same in all built-in schemes that have it."""
        return Options(**dict(pair for scheme in self._built_in.values() for pair in scheme.in_force.given.items()))

    @cached_property
    def _built_in(self) -> dict[str, Scheme]:
        tables = settings.read(FILE, _File).schemes
        return {name: tables[name].scheme(name) for name in BASES}

    def _all(self) -> dict[str, Scheme]:
        place = networks.folder()
        own = settings.load(place).schemes if place else {}
        return self._built_in | {name: self._own(name, options) for name, options in own.items()}

    def _own(self, name: str, options: SchemeSettings) -> Scheme:
        base = self._built_in[options.base]
        in_force = Options(**base.in_force.given | options.given)
        return replace(base, name=name, options=Options(**options.given), in_force=in_force)

    def __getitem__(self, name: str) -> Scheme:
        return self._built_in.get(name) or self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())


SCHEMES = _Schemes()


def described(options: Options) -> str:
    """Return options as edgewise.toml has them, on one line."""
    return ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.given.items())


def supported(options: Options, understood: Collection[str], where: str) -> None:
    """Raise Unsupported where an option is given that a format does not know."""
    unknown = [name for name in options.given if name not in understood]
    if unknown:
        understood_here = f"It understands: {', '.join(sorted(understood))}" if understood else "It has none"
        raise Unsupported(f"{where} has no option {' and '.join(unknown)}. {understood_here}.")


def left_in_float(names: Collection[str], options: Options, where: str) -> list[str]:
    """Return those of the operators' names that `keep_float` matches; raises Unsupported for a glob that matches none."""
    patterns = options.keep_float or ()
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            listed = ", ".join(names)
            raise Unsupported(f"keep_float: {pattern!r} matches no operator of the {where}; there are: {listed}")
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
