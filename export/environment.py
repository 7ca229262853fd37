"""What a lane's process is started with, for it decides the bytes of what is made as the code does."""

# One thread and a fixed hash seed, for sums in another order, or sets in another, would give other bytes.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "CUDA_VISIBLE_DEVICES": "",
    "ORT_DISABLE_TELEMETRY": "1",
    # where calibration and fine-tuning sum floats, the widest instructions of this CPU would give other bytes
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "TF_ENABLE_ONEDNN_OPTS": "0",
}
