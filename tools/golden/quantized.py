"""Golden blocks: rows of numbers, and what llama.cpp's quantizers (libggml-base, built with -DGGML_NATIVE=OFF and
-ffp-contract=off) make of them, without and with an importance. Writes test/golden/values/quantized.safetensors: x
(rows), w (of their columns), TYPE.plain, TYPE.weighted.

    tools/golden/quantized.py libggml-base.so test/golden
"""
import ctypes
import sys

import numpy as np
from safetensors.numpy import save_file

COLS = 512
TYPES = {"Q1_0": (128, 18), "Q2_0": (64, 18), "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24),
         "Q8_0": (32, 34), "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176),
         "Q6_K": (256, 210), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "TQ1_0": (256, 54), "TQ2_0": (256, 66),
         "MXFP4": (32, 17), "NVFP4": (64, 36)}


def rows(rng):
    x = rng.standard_normal((6, COLS)).astype(np.float32) * np.float32(0.05)
    x[1] = np.abs(x[1])
    x[2] = x[2] ** 3
    x[3, : COLS // 2] = 0
    x[3, COLS // 2 :: 3] = 0
    x[4] = np.round(x[4] * 40) / 40  # ties
    x[5] *= np.float32(1e-6)
    return x


def main():
    lib = ctypes.CDLL(sys.argv[1])
    rng = np.random.default_rng(14)
    x, w = rows(rng), np.exp(rng.standard_normal(COLS) * 3).astype(np.float32)
    w[::37] = 0
    out = {"x": x, "w": w}
    for name, (block, size) in TYPES.items():
        stem, tail = name.rsplit("_", 1) if "_" in name else (name, "")
        f = getattr(lib, "quantize_" + (stem.lower() + "_" + (tail if tail == "K" else tail.lower()) if tail else stem.lower()))
        f.restype = ctypes.c_size_t
        for kind, weights in (("plain", None), ("weighted", w)):
            b = np.zeros((len(x), COLS // block * size), dtype=np.uint8)
            f(x.ctypes.data_as(ctypes.c_void_p), b.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(len(x)),
              ctypes.c_int64(COLS), weights.ctypes.data_as(ctypes.c_void_p) if weights is not None else None)
            out[f"{name}.{kind}"] = b
    save_file(out, sys.argv[2] + "/values/quantized.safetensors")


main()
