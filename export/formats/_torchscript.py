"""What .pt and .ptl share: the traced network and its quantization, an archive that repeats, and its reading."""

import io
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from export import phases
from export.contract import BITS, Contents, Layer, Tensor, tables, weights_by_dtype
from export.formats import _batches, _quiet
from export.formats._torch import one_thread
from export.source import Source
from models.common.errors import Unsupported
from models.own.settings import Options

# leaves out what PyTorch says of these formats at every step: that they are deprecated
quiet = partial(
    _quiet.quiet,
    r"`torch\.jit\.\w+` is deprecated",
    r"torch\.ao\.quantization is deprecated",
    "Lite Interpreter is deprecated",
    r"torch\.quantize_per_tensor, torch\.quantize_per_channel and other",
    "Please use quant_min and quant_max",  # said of a setting that PyTorch's own default makes
)
_DTYPES = {"FloatStorage": "float32", "HalfStorage": "float16", "DoubleStorage": "float64", "QInt8Storage": "int8",
           "QUInt8Storage": "uint8", "BoolStorage": "bool", "IntStorage": "int32", "LongStorage": "int64"}  # fmt: skip
_SHAPE = "extra/input_shape"  # what torch.jit.load(..., _extra_files={"input_shape": ""}) returns


@contextmanager
def _one_engine() -> Iterator[None]:
    """Pack quantized weights with oneDNN on every CPU.

    The engine `x86` packs with oneDNN where the CPU has AVX-512 VNNI and with FBGEMM elsewhere. FBGEMM unpacks a
    convolution's weights as channels-last and its scales as new tensors, so the same network gave another file.
    """
    import torch

    before = torch.backends.quantized.engine
    torch.backends.quantized.engine = "onednn"
    try:
        yield
    finally:
        torch.backends.quantized.engine = before


def save(
    source: Source, scheme: str, target: Path, serialize: Callable[[Any], bytes], unused: tuple[str, ...] = ()
) -> None:
    """Write the network, quantized as `scheme` says, in the form that `serialize` gives a ScriptModule.

    Records whose names begin with one of `unused` are left out.
    """
    with quiet(), _one_engine():
        content = serialize(source.memo(f"torchscript-{scheme}", lambda: _script(source, scheme)))
        shape = (-1 if source.is_dynamic else source.batch, *source.input_shape)
        target.write_bytes(_repeatable(content, shape, unused))


def _script(source: Source, scheme: str) -> Any:
    import torch

    network = {"float32": lambda source: source.network, "dynamic_int8": _dynamic_int8, "int8": _int8}[scheme](source)
    example = torch.zeros(2 if source.is_dynamic else source.batch, *source.input_shape)
    frozen = torch.jit.freeze(torch.jit.trace(network, example, check_trace=False))
    # A traced module's type is named after how many others the process has traced, and so are the bytes. A frozen
    # graph needs nothing of its module: as a function in a compilation unit of its own, it always has the same name.
    graph = frozen.graph.copy()
    graph.eraseInput(0)
    function = torch._C._create_function_from_graph("forward", graph)
    return torch.jit.load(io.BytesIO(function.save_to_buffer())).eval()


def _dynamic_int8(source: Source) -> Any:
    """Quantize the dense layers: PyTorch has no dynamic convolution."""
    from torch import nn
    from torch.ao.quantization import default_dynamic_qconfig, per_channel_dynamic_qconfig, quantize_dynamic

    per_tensor = source.options.granularity == "per_tensor"
    config = default_dynamic_qconfig if per_tensor else per_channel_dynamic_qconfig
    return quantize_dynamic(source.fresh_network(), {nn.Linear: config})


def _int8(source: Source) -> Any:
    """Quantize with the observers of the x86 engine. The file holds no engine: whichever loads it packs the weights.

    They keep activations to 7 bits, without which x86 saturates where it has no VNNI; QNNPACK on Arm takes both.
    """
    import torch
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    images = torch.from_numpy(source.calibration)
    prepared = prepare_fx(source.fresh_network(), _configuration(source.options), (images[:1],))
    with one_thread(), torch.inference_mode(), phases.phase(phases.CALIBRATE):
        for batch in source.batches(images):
            prepared(batch)
    return convert_fx(prepared)


def _configuration(options: Options) -> Any:
    """Return the x86 engine's observers as the options want them; HistogramObserver, the default, seeks the least square error."""
    import torch
    from torch.ao import quantization

    if options.calibration == "percentile":
        raise Unsupported("PyTorch's observers calibrate by mse or minmax, not by percentiles")
    mapping = quantization.get_default_qconfig_mapping("x86")

    def changed(config: Any) -> Any:
        observer = getattr(getattr(config and config.activation, "p", None), "func", None)
        if observer is not quantization.HistogramObserver:
            return config
        scheme = {"qscheme": torch.per_tensor_symmetric} if options.symmetric else {}
        kind = quantization.MinMaxObserver if options.calibration == "minmax" else observer
        weight = quantization.default_weight_observer if options.granularity == "per_tensor" else config.weight
        return quantization.QConfig(kind.with_args(**config.activation.p.keywords | scheme), weight)

    mapping.set_global(changed(mapping.global_qconfig))
    for kind, config in [*mapping.object_type_qconfigs.items()]:
        mapping.set_object_type(kind, changed(config))
    return mapping


def _repeatable(content: bytes, input_shape: tuple[int, ...], unused: tuple[str, ...]) -> bytes:
    """Return the archive without the unused, and without what depends on the machine or on objects in memory.

    Debug records name files and lines of this machine. Storages are numbered anew in the order in which the pickles
    name them: the serializer counts the unused ones, too.
    """
    import torch

    reader = torch._C.PyTorchFileReader(io.BytesIO(content))
    versions = ("version", ".data/version")  # where it lies depends on the operators
    rewritten = (*versions, "byteorder", ".data/serialization_id")
    records = {
        name: reader.get_record(name)
        for name in reader.get_all_records()
        if name not in rewritten and not name.endswith(".debug_pkl") and not name.startswith(unused)
    }
    shape = ",".join(map(str, input_shape))
    storages: dict[str, str] = {}  # old name -> new name
    for record in (records[name] for name in sorted(records) if name.endswith(".pkl")):
        for key in _Tensors(record).storages:
            storages.setdefault(key, f"{len(storages)}{Path(key).suffix}")

    packed = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(packed)
    version = next(reader.get_record(name) for name in versions if reader.has_record(name))
    writer.set_min_version(int(version))  # else operators are read as those of an older PyTorch
    for name, record in (*_renamed(records, storages).items(), (_SHAPE, shape.encode())):
        writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return packed.getvalue()


def _renamed(records: dict[str, bytes], storages: dict[str, str]) -> dict[str, bytes]:
    """Return the pickles with their storages' new names, then the named storages in that order."""
    renamed = {}
    for name, record in records.items():
        if name.endswith(".pkl"):
            renamed[name] = _canonical(record, storages)
        elif not name.startswith(("constants/", "data/")):
            renamed[name] = record
    for old, new in storages.items():
        renamed |= {f"{f}/{new}": records[f"{f}/{old}"] for f in ("constants", "data") if f"{f}/{old}" in records}
    return renamed


def _canonical(content: bytes, storages: dict[str, str]) -> bytes:
    """Return a pickle with storages renamed and no memo entry that nothing refers to.

    Which entries the serializer makes depends on how many references to an object happen to be held in memory.
    """
    pieces: list[bytes] = []
    strings: list[int] = []  # since the last MARK: a persistent identifier is ('storage', type, key, device, size)
    operators = list(pickletools.genops(content))
    ends = [position for *_, position in operators[1:]] + [len(content)]
    for i, ((operator, _, start), end) in enumerate(zip(operators, ends, strict=True)):
        pieces.append(content[start:end])
        if operator.name == "MARK":
            strings = []
        elif operator.name == "BINUNICODE":
            strings.append(i)
        elif operator.name == "BINPERSID":
            for at in (at for at in strings if operators[at][1] in storages):
                name = storages[operators[at][1]].encode()
                pieces[at] = b"X" + len(name).to_bytes(4, "little") + name
    return pickletools.optimize(b"".join(pieces))


def inspect(path: Path) -> Contents:
    """Return what is in the archive; nothing of it is executed."""
    with zipfile.ZipFile(path) as archive:
        records = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    pickles = [_Tensors(record) for name, record in records.items() if name.endswith(".pkl")]
    code = _code(records)
    mixes = re.search(r"attention|bmm|\b(gru|lstm|rnn_)", code)  # operators that keep their dense layers in float
    layers = tuple(
        Layer(operator="", shape=shape, dtype=dtype, quantizable=len(shape) == 4 or not mixes)
        for tensors in pickles
        for dtype, shape in tensors.matches
        if dtype in BITS  # no mask or index
        and dtype != "uint8"  # a constant among the activations, such as a position's embedding
        and len(shape) > 1
        and math.prod(shape) > max(shape)
    )
    counted = [match for tensors in pickles for match in tensors.matches if match[0] in _DTYPES.values()]
    stored = [(dtype, shape, math.prod(shape) * np.dtype(dtype).itemsize) for dtype, shape in counted]
    input_shape = tuple(int(size) for size in records[_SHAPE].decode().split(","))
    return Contents(
        inputs=(Tensor(name="image", shape=input_shape, dtype="float32"),),
        weights=weights_by_dtype(layers),
        layers=layers,
        constants=sum(len(record) for name, record in records.items() if name.startswith(("constants/", "data/"))),
        tables=tables(stored, layers),
        parts=len(records) + code.count("= torch.") + code.count("aten::"),
        notes=_notes(code, layers),
    )


def _code(records: dict[str, bytes]) -> str:
    code = "".join(record.decode() for name, record in records.items() if name.startswith("code/"))
    if bytecode := records.get("bytecode.pkl"):
        code += " ".join(argument for _, argument, _ in pickletools.genops(bytecode) if isinstance(argument, str))
    return code


def _notes(code: str, layers: tuple[Layer, ...]) -> tuple[str, ...]:
    quantized = sorted(set(re.findall(r"(?:ops\.quantized\.|quantized::)(\w+)", code)))
    if not quantized:
        return ()
    notes = [f"quantized operators: {', '.join(quantized)}"]
    if wide := [str(layer) for layer in layers if layer.dtype != "int8"]:
        notes.append(f"weights that stay float32: {', '.join(wide)}")
    if "quantize_per_tensor" in code:
        notes.append("activations in 7 bits (the x86 engine's observers): runs on x86, fbgemm, onednn and qnnpack")
    return tuple(notes)


class _Tensors(pickle.Unpickler):
    """Lists what a TorchScript pickle would build: whatever it calls becomes a record of the call, so nothing runs.

    `matches` holds dtype and shape of each tensor, `storages` the records that hold their values.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.matches: list[tuple[str, tuple[int, ...]]] = []
        self.storages: dict[str, None] = {}  # in the order of their first use
        self.load()

    def persistent_load(self, pid: tuple[Any, ...]) -> str:
        _, kind, key, *_ = pid
        self.storages[key] = None
        return _DTYPES.get(kind.__name__, kind.__name__)

    def find_class(self, module: str, name: str) -> type:
        def call(cls: type, *arguments: Any) -> Any:
            if name in ("_rebuild_tensor_v2", "_rebuild_qtensor"):
                dtype, _, shape, *_ = arguments
                self.matches.append((dtype, shape))
            return object.__new__(cls)

        return type(name, (), {"__new__": call, "__setstate__": lambda self, state: None})


def run(load: Callable[[str], Any], path: Path, images: np.ndarray, batch: int) -> np.ndarray:
    """Load a file and answer so many images at once, with one thread."""
    import torch

    with quiet(), one_thread(), torch.inference_mode():
        module = load(str(path))
        return _batches.answered(lambda images: module(torch.from_numpy(images)).numpy(), images, batch)
