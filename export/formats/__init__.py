"""One file per format: how a network becomes a file, what is inside the file, and what the file answers."""

from models.common.registry import Registry

FORMATS = Registry(__name__, "format")
