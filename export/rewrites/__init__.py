"""One file per exact rewrite: a converted graph becomes an equal one that kernels like better.

Each module has `TITLE`, what the rewrite does in a person's words, and `rewrite(graph)`, which changes a .tflite graph
(_graph.py) where that pays and returns the names of the operators it changed. export/rewriting.py proves that the logits
stay the same. They work on what the converter gave, so that scales and rounding cannot move, whatever the framework.
"""

from models.common.registry import Registry

REWRITES = Registry(__name__, "rewrite")
