"""What each framework does with a network of the zoo: train a step, compute logits, load and return weights."""

from models.common.registry import Registry

FRAMEWORKS = Registry(__name__, "framework")
