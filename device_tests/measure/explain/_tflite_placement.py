"""Says which operators of a .tflite file a delegate takes; stands alone, for it runs in a runtime's environment.

`python _tflite_placement.py RUNTIME` reads a path per line and replies with a line of JSON: {"taken": [indices of
operators], "amx": true, false or null, "accelerated": true, false or null}, or {"error": the runtime's message}.
"""

import ctypes
import json
import os
import platform
import sys


def main():
    # Libraries print what they like to fd 1; only this program knows where the real one went.
    stdout = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            reply = placement(sys.argv[1], line.rstrip("\n"))
        except Exception as error:  # runtimes raise anything
            reply = {"error": f"{type(error).__name__}: {' '.join(str(error).split())}"}
        print(json.dumps(reply), file=stdout)


def placement(runtime, path):
    accelerated = compiled(path) if runtime == "litert_compiled" else None
    interpreter = load(runtime, path)
    interpreter.allocate_tensors()
    details = interpreter._get_ops_details()
    operators = [o for o in details if o["op_name"] != "DELEGATE"]
    delegates = [o for o in details if o["op_name"] == "DELEGATE"]
    taken = sorted({i for delegate in delegates for i in replaced(delegate, operators)})
    return {"taken": taken, "amx": amx(), "accelerated": accelerated}


def load(runtime, path):
    if runtime == "tflite_runtime":
        from tflite_runtime.interpreter import Interpreter
    elif runtime == "tensorflow":
        import tensorflow

        Interpreter = tensorflow.lite.Interpreter  # noqa: N806 - a lazy attribute, which cannot be imported
    else:
        from ai_edge_litert.interpreter import Interpreter
    return Interpreter(model_path=path, num_threads=1)


def compiled(path):
    from ai_edge_litert.compiled_model import CompiledModel

    return bool(CompiledModel.from_file(path).is_fully_accelerated())


def replaced(delegate, operators):
    """Return the operators that a delegate replaced: those between its outputs and its inputs."""
    producers = {int(tensor): i for i, o in enumerate(operators) for tensor in o["outputs"]}
    stop = {int(tensor) for tensor in delegate["inputs"]}
    open_tensors, between = [int(tensor) for tensor in delegate["outputs"]], set()
    while open_tensors:
        tensor = open_tensors.pop()
        if tensor in stop or tensor not in producers or producers[tensor] in between:
            continue
        between.add(producers[tensor])
        open_tensors += [int(t) for t in operators[producers[tensor]]["inputs"] if t >= 0]
    return between


def amx():
    """Tell whether this process has asked Linux for AMX' tiles, as only kernels that use them do."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return None
    permitted = ctypes.c_ulong()
    arch_prctl, get_xcomp_perm, tile_data = 158, 0x1022, 1 << 18
    if ctypes.CDLL(None).syscall(arch_prctl, get_xcomp_perm, ctypes.byref(permitted)):
        return None  # a kernel before 5.16
    return bool(permitted.value & tile_data)


if __name__ == "__main__":
    main()
