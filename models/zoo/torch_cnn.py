"""The PyTorch examples' MNIST network of today."""

from models.spec import ModelSpec, Training

SPEC = ModelSpec(
    name="torch_cnn",
    framework="torch",
    title="PyTorch examples' MNIST CNN",
    parameters=1_199_882,
    macs=11_992_448,
    input_shape=(1, 28, 28),
    source="https://github.com/pytorch/examples/blob/main/mnist/main.py",
)

TRAINING = Training(epochs=12)


def network():
    """Return the network: [N,1,28,28] in 0..1 -> [N,10] logits."""
    from torch import nn

    from models.frameworks.torch import Normalize

    return nn.Sequential(
        Normalize(),
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(9216, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
