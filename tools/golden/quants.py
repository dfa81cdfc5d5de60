"""Golden values of the block types: a few random blocks of each and the numbers that the Python package gguf makes of
them (Q2_0, which it has not, by its definition in ggml). Writes test/golden/values/quants.safetensors: NAME.blocks
(bytes), NAME.numbers.

    tools/golden/quants.py test/golden
"""
import sys

import numpy as np
from gguf import GGMLQuantizationType as T, quants
from gguf.constants import GGML_QUANT_SIZES
from safetensors.numpy import save_file

BLOCKS = 3
# Where a block's f16 fields stand.
HALVES = {"Q1_0": [0], "Q2_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ1_S": [0], "IQ1_M": [], "IQ2_XXS": [0], "IQ2_XS": [0],
          "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64],
          "MXFP4": [], "NVFP4": []}


def q1_0(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
    return np.where(bits == 1, d, -d)


def q2_0(blocks):
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    q = (blocks[:, 2:, None] >> np.array([0, 2, 4, 6], dtype=np.uint8)) & 3
    return d * (q.reshape(len(blocks), -1).astype(np.float32) - 1)


def main():
    rng = np.random.default_rng(14)
    out = {}
    for name, at in HALVES.items():
        size = 18 if name == "Q2_0" else GGML_QUANT_SIZES[T[name]][1]
        b = rng.integers(0, 256, (BLOCKS, size), dtype=np.uint8)
        for a in at:
            d = (rng.standard_normal(BLOCKS) * 0.05).astype(np.float16)
            d[-1] = 3e-6  # below the normal numbers of f16
            b[:, a:a + 2] = d.view(np.uint8).reshape(BLOCKS, 2)
        if name == "IQ1_M":  # the top nibbles of four u16 are an f16
            d = (rng.standard_normal(BLOCKS) * 0.05).astype(np.float16).view(np.uint16)
            for i in range(4):
                b[:, 49 + 2 * i] = (b[:, 49 + 2 * i] & 15) | ((d >> (4 * i) & 15) << 4)
        if name == "MXFP4":
            b[:, 0] = [120, 3, 200]
        out[name + ".blocks"] = b
        numbers = q2_0(b) if name == "Q2_0" else q1_0(b) if name == "Q1_0" else quants.dequantize(b, T[name])
        assert np.isfinite(numbers).all(), name
        out[name + ".numbers"] = numbers.astype(np.float32)
    save_file(out, sys.argv[1] + "/values/quants.safetensors")


main()
