"""One file per model: the network and how it is trained."""

from models.common.registry import Registry

ZOO = Registry(__name__, "model")
COUNTED = "torch_cnn_small"  # whose instructions a pipeline has the time to count
