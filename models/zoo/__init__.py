"""One file per model: the network and how it is trained."""

from models.registry import Registry

ZOO = Registry(__name__, "model")
