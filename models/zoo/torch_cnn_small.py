"""The PyTorch examples' MNIST network of 2017."""

from models.spec import ModelSpec, Training

SPEC = ModelSpec(
    name="torch_cnn_small",
    framework="torch",
    title="PyTorch examples' small MNIST CNN (2017)",
    parameters=21_840,
    macs=480_500,
    input_shape=(1, 28, 28),
    source="https://github.com/pytorch/examples/blob/0.3/mnist/main.py",
)

TRAINING = Training(
    epochs=15,
    learning_rate=5e-3,
    weight_decay=1e-3,
    rotate_degrees=8.0,
    scale=0.08,
    shift_pixels=1.5,
    shear=0.08,
    average_decay=0.999,
)


def network():
    """Return the network: [N,1,28,28] in 0..1 -> [N,10] logits."""
    from torch import nn

    from models.frameworks.torch import Normalize

    return nn.Sequential(
        Normalize(),
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.Dropout2d(0.05),  # the example's 0.5 starves so small a network once the images are augmented
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 50),
        nn.ReLU(),
        nn.Dropout(0.05),
        nn.Linear(50, 10),
    )
