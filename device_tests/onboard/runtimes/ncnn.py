"""Tencent's ncnn on the CPU, in float32: weights may be stored as float16, sums are not."""

suffixes = (".ncnn",)
eager = ""
distributions = ("ncnn",)
refusals = ("layer not exists or registered",)


def start(threads):
    import ncnn  # noqa: F401 - loaded here, so that no cell's time or memory holds it


def load(path, threads):
    import ncnn
    import numpy as np

    net = ncnn.Net()
    options = net.opt
    options.num_threads = threads
    options.use_vulkan_compute = False
    # all three are on by default: where the CPU has half precision, the float32 file would not be computed in float32
    options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
    options.use_bf16_storage = False
    failed = net.load_param(str(path / "model.ncnn.param")) or net.load_model(str(path / "model.ncnn.bin"))
    if failed:
        raise RuntimeError(f"ncnn does not load it ({failed})")
    (image,), (logits,) = net.input_names(), net.output_names()

    def infer(native):
        extractor = net.create_extractor()
        extractor.input(image, ncnn.Mat(native[0]).clone())  # without the copy it reads memory that is gone
        failed, answer = extractor.extract(logits)
        if failed:
            raise RuntimeError(f"ncnn gives no answer ({failed})")
        return np.array(answer).reshape(1, -1)

    return infer
