"""Runs in the environment `ncnn`: turns an ONNX file into ncnn's two files with pnnx' program, and answers images.

convert MODEL.onnx FOLDER SHAPE float16|wide        SHAPE is 1,1,28,28
answer FOLDER images.npy logits.npy
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

UNSUPPORTED = 3


def convert(source, folder, shape, width):
    # its Python package would import PyTorch, which the program needs nothing of
    program = Path(importlib.util.find_spec("pnnx").origin).with_name("pnnx")
    with tempfile.TemporaryDirectory() as place:
        files = {kind: Path(place) / f"model.ncnn.{kind}" for kind in ("param", "bin")}
        others = [f"{name}={Path(place) / name}" for name in ("pnnxparam", "pnnxbin", "pnnxpy", "pnnxonnx", "ncnnpy")]
        ended = subprocess.run(
            [program, source, f"inputshape=[{shape}]", f"fp16={int(width == 'float16')}",
             *(f"ncnn{kind}={path}" for kind, path in files.items()), *others],
            cwd=place, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        print(ended.stdout, ended.stderr, file=sys.stderr)
        lines = files["param"].read_text().splitlines() if files["param"].exists() else []
        # pnnx ends with 0 whatever it met: an operator that ncnn has none for keeps its name of PyTorch, ONNX or pnnx
        foreign = sorted({line.split()[0] for line in lines[2:] if not line.split()[0].isalnum()})
        if ended.returncode < 0:
            sys.exit(f"pnnx was killed by signal {-ended.returncode}")  # which may not happen again
        if ended.returncode or not lines or foreign:
            reason = f"there are no layers in ncnn for {', '.join(foreign)}"
            if not foreign:
                reason = f"it ended with {ended.returncode}"
            print(f"pnnx cannot convert it: {reason}", file=sys.stderr)
            sys.exit(UNSUPPORTED)
        loaded(place)
        Path(folder).mkdir(parents=True, exist_ok=True)
        for path in files.values():
            (Path(folder) / path.name).write_bytes(path.read_bytes())


def stderr_of(call):
    """Return what a call returns, and the first line that its library, which raises nothing, wrote to standard error."""
    with tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            result = call()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
        file.seek(0)
        return result, (file.read().decode(errors="replace").splitlines() or ["it does not say why"])[0]


def loaded(folder):
    """Return the network, for one thread in full precision; ends the program where ncnn has no such layer."""
    import ncnn

    net = ncnn.Net()
    options = net.opt
    options.num_threads = 1
    options.use_vulkan_compute = options.use_bf16_storage = False
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    files = [str(Path(folder) / f"model.ncnn.{kind}") for kind in ("param", "bin")]
    failed, reason = stderr_of(lambda: net.load_param(files[0]) or net.load_model(files[1]))
    if failed:
        print(f"ncnn cannot load what pnnx wrote: {reason}", file=sys.stderr)
        sys.exit(UNSUPPORTED)
    return net


def answer(folder, images, logits):
    import ncnn
    import numpy as np

    net, outputs = loaded(folder), []
    for image in np.load(images):
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(np.ascontiguousarray(image)).clone())
        failed, answered = extractor.extract("out0")
        if failed:
            sys.exit(f"ncnn gives no answer ({failed})")
        outputs.append(np.array(answered).reshape(-1))
    np.save(logits, np.stack(outputs))


if __name__ == "__main__":
    {"convert": convert, "answer": answer}[sys.argv[1]](*sys.argv[2:])
