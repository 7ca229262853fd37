"""What each framework does with a network of the zoo: train a step, answer, load and give weights."""

from models.registry import Registry

FRAMEWORKS = Registry(__name__, "framework")
