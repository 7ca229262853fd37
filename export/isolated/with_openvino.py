"""Runs in the environment `openvino`: turns an ONNX file into OpenVINO's two files, and answers images with them.

convert MODEL.onnx FOLDER SHAPE float16|wide        SHAPE is 1,1,28,28
answer FOLDER images.npy logits.npy
"""

import sys
import traceback
from collections import Counter
from pathlib import Path

UNSUPPORTED = 3
ONE_THREAD = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


def convert(source, folder, shape, width):
    import openvino

    sizes = [int(size) for size in shape.split(",")]
    try:
        model = openvino.convert_model(source, input=[("image", sizes)])
    except Exception as error:  # whatever its frontend raises is about the network
        traceback.print_exc()
        print(f"OpenVINO cannot convert it: {reason(str(error))}", file=sys.stderr)
        sys.exit(UNSUPPORTED)
    rename(model)
    Path(folder).mkdir(parents=True, exist_ok=True)
    openvino.save_model(model, str(Path(folder) / "model.xml"), compress_to_fp16=width == "float16")


def reason(message):
    """Return the line that says why; others only name a place in OpenVINO's sources, or an operator that came after."""
    lines = [line.strip() for line in message.splitlines() if line.strip() and "Check 'false'" not in line]
    words = ("Unsupported", "not support", "No conversion rule", "failed", "")
    return next((line for word in words for line in lines if word in line), message)


def rename(model):
    """Number the nodes that were numbered by how many their process has made: names decide the bytes."""
    seen = Counter()
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        seen[kind] += 1
        if kind not in ("Parameter", "Result"):
            node.set_friendly_name(f"{kind.lower()}{seen[kind]}")


def answer(folder, images, logits):
    import numpy as np
    import openvino

    request = openvino.Core().compile_model(str(Path(folder) / "model.xml"), "CPU", ONE_THREAD).create_infer_request()
    batch = np.load(images)
    outputs = []
    for i in range(len(batch)):
        request.infer([batch[i : i + 1]])
        outputs.append(np.array(request.get_output_tensor(0).data))
    np.save(logits, np.concatenate(outputs))


if __name__ == "__main__":
    {"convert": convert, "answer": answer}[sys.argv[1]](*sys.argv[2:])
