"""PyTorch's side of the zoo."""

import io
import pickle
from collections.abc import Mapping

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from models.data import MEAN, STD
from models.profile import Layer, Profile
from models.spec import Training


class Normalize(nn.Module):
    """Grey values 0..1 to MNIST's zero mean and unit variance, so that no app can get it wrong."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (image - MEAN) / STD


def seed(value: int) -> None:
    torch.manual_seed(value)


def weights(network: nn.Module) -> dict[str, np.ndarray]:
    """Return copies of the named weights, as float32 arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def set_weights(network: nn.Module, values: Mapping[str, np.ndarray]) -> nn.Module:
    """Put named weights into the network; raises on names or shapes that are not its own."""
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in values.items()})
    return network.eval()


def open_whole(content: bytes) -> nn.Module:
    """Return the network of a .pt2 file, in evaluation mode; raises ValueError for what cannot be deployed."""
    from models.frameworks import _exported

    return _exported.load(content)


def as_layers(network: nn.Module, images: np.ndarray) -> nn.Module:
    """Return a network of code in the form of one that was saved, whose operators all converters know, where it has one.

    It is traced on images [N,*input_shape], N at least 2.
    """
    from models.frameworks import _exported

    return _exported.as_layers(network, torch.from_numpy(images))


def open_weights(network: nn.Module, content: bytes, suffix: str) -> nn.Module:
    """Put the weights of a file into the network; nothing in the file can execute code. Raises ValueError, RuntimeError or SafetensorError."""
    if suffix == ".safetensors":
        from safetensors.torch import load

        values = load(content)
    else:
        try:
            values = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, EOFError) as error:
            msg = f"it is no state dictionary that can be read safely ({str(error).splitlines()[0]}); save network.state_dict()"
            raise ValueError(msg) from error
    if not isinstance(values, Mapping):
        raise ValueError("it holds no state dictionary; save network.state_dict()")
    names = ("state_dict", "model_state_dict", "model")
    inner = next((name for name in names if isinstance(values.get(name), Mapping)), "")
    if inner:
        msg = f"it is a checkpoint with more than the weights, which are its {inner!r}; save these alone: torch.save(checkpoint[{inner!r}], FILE)"
        raise ValueError(msg)
    if values and all(name.startswith("module.") for name in values):
        raise ValueError("its names begin with `module.`, as nn.DataParallel's do; save network.module.state_dict()")
    network.load_state_dict(values)
    return network.eval()


def input_shape(network: nn.Module) -> tuple[int | None, ...] | None:
    """Return the shape of one image if the network states it (None for a free size), else None.

    Raises ValueError where it takes other than one input.
    """
    shapes = getattr(network, "input_shapes", None)
    if shapes is None:
        return None
    if len(shapes) != 1:
        raise ValueError(f"it takes {len(shapes)} inputs; export a network that takes one tensor of images")
    return shapes[0]


def logits(network: nn.Module, images: np.ndarray, batch: int = 500) -> np.ndarray:
    """Return float32 [N,K] for images [N,*input_shape]; one by one where the network takes no batch."""
    network.eval()
    with torch.inference_mode():
        size = batch if takes_batches(network, images) else 1
        return np.concatenate([_forward(network, images[i : i + size]) for i in range(0, len(images), size)])


def takes_batches(network: nn.Module, images: np.ndarray) -> bool:
    """Tell whether the network takes several images at once; it may be written, or exported, for one."""
    if len(images) < 2:
        return True
    try:
        return len(_forward(network, images[:2])) == 2
    except (RuntimeError, ValueError, IndexError):
        return False


def _forward(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        output = network(torch.from_numpy(np.ascontiguousarray(images)))
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"it returns a {type(output).__name__}; give one tensor of logits [N,K]")
    return output.float().numpy()


def profile(network: nn.Module, input_shape: tuple[int, ...]) -> Profile:
    """Count parameters and multiply-accumulates for one image, in the operators that PyTorch computes."""
    # with gradients: without them nn.MultiheadAttention and others take one fused operator that hides its products
    # and without oneDNN, whose recurrent layers do so, too
    with torch.enable_grad(), torch.backends.mkldnn.flags(enabled=False, allow_tf32=None), _Products() as products:
        network.eval()(torch.zeros(1, *input_shape))
    return Profile(parameters=sum(p.numel() for p in network.parameters()), layers=tuple(products.layers))


# operators with weights, and which of their arguments the weights are
_WEIGHTS = {"convolution": 1, "_convolution": 1, "addmm": 2, "mm": 1}


class _Products(TorchDispatchMode):
    """Lists every operator that PyTorch's own counter knows, as it runs, with what it multiplies."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: list[Layer] = []
        self._seen: set[int] = set()

    def _new_weights(self, tensor: torch.Tensor) -> tuple[int, ...]:
        is_new = tensor.data_ptr() not in self._seen
        self._seen.add(tensor.data_ptr())
        return tuple(tensor.shape) if is_new else ()

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        options = options or {}
        result = operator(*arguments, **options)
        packet = operator._overloadpacket
        count = flop_registry.get(packet)
        if packet is torch.ops.aten._scaled_dot_product_flash_attention_for_cpu:
            query, key, value = (tensor.shape for tensor in arguments[:3])
            self.layers.append(Layer(shape=(), macs=sdpa_flop_count(query, key, value) // 2))
        elif count is not None:
            at = _WEIGHTS.get(packet.__name__)
            shape = () if at is None else self._new_weights(arguments[at])
            self.layers.append(Layer(shape=shape, macs=count(*arguments, **options, out_val=result) // 2))
        return result


class Trainer:
    """One optimizer step at a time, so that both frameworks share one training loop."""

    def __init__(self, network: nn.Module, training: Training) -> None:
        self.network = network
        self.smoothing = training.label_smoothing
        self.optimizer = torch.optim.AdamW(network.parameters(), weight_decay=training.weight_decay)

    def step(self, images: np.ndarray, labels: np.ndarray, learning_rate: float) -> tuple[float, int]:
        """Train on one batch; return its mean loss and its number of correct predictions."""
        self.network.train()
        self.optimizer.param_groups[0]["lr"] = learning_rate
        target = torch.from_numpy(labels.astype(np.int64))
        logits = self.network(torch.from_numpy(images))
        loss = cross_entropy(logits, target, label_smoothing=self.smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item(), int((logits.argmax(1) == target).sum())
