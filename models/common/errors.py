"""Errors for people: each says what happened, why, and what to type next; each class has its exit code."""

import difflib
from collections.abc import Iterable

LISTED = 16  # words of a suggestion


class EdgewiseError(Exception):
    """Something that a person can mend; printed without a traceback."""

    exit_code = 1


class UsageError(EdgewiseError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 2


class DataError(EdgewiseError):
    """A data set, checkpoint, reference or sidecar is missing, broken or of another origin."""

    exit_code = 3


class EnvironmentMissing(EdgewiseError):
    """A runtime's or a toolchain's environment is not installed."""

    exit_code = 4


class Unsupported(EdgewiseError):
    """A toolchain really cannot do this; the message is the toolchain's own reason."""

    exit_code = 5


class StorageError(EdgewiseError):
    """A folder cannot be written: read-only, or the disk is full."""

    exit_code = 6


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a sentence that suggests the nearest known words, or lists them, of very many the first."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    more = f" and {len(choices) - LISTED:,} more" if len(choices) > LISTED else ""
    return f"There are: {', '.join(choices[:LISTED])}{more}."
