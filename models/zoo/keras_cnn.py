"""The TensorFlow tutorial's MNIST CNN, in Keras."""

from models.spec import ModelSpec, Training

SPEC = ModelSpec(
    name="keras_cnn",
    framework="keras",
    title="TensorFlow tutorial's MNIST CNN",
    parameters=3_274_634,
    macs=13_883_904,
    input_shape=(28, 28, 1),
    source="https://github.com/tensorflow/docs/blob/r1.15/site/en/tutorials/estimators/cnn.ipynb",
)

TRAINING = Training(epochs=10)


def network():
    """Return the network: [N,28,28,1] in 0..1 -> [N,10] logits."""
    from keras import Input, Sequential, layers

    from models.data import MEAN, STD

    return Sequential(
        [
            Input((28, 28, 1), name="image"),
            layers.Rescaling(1 / STD, offset=-MEAN / STD),
            layers.Conv2D(32, 5, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 5, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(1024, activation="relu", name="dense"),
            layers.Dropout(0.4),
            layers.Dense(10, name="logits"),
        ]
    )
