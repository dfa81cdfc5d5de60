"""Golden values of 4-bit floats: matrices that bitsandbytes quantized on a processor, with the tensors that transformers saves
for each, and what bitsandbytes computes with. Writes test/golden/values/nf4.safetensors; a tensor NAME.weight and what
belongs to it, and NAME.plain. What was quantized is made by a formula (`numbers`), which test_nf4 has too; mean.N is the mean
of the first N of their absolute values, as torch adds them up.

    python tools/golden/nf4.py test/golden
"""
import sys

import bitsandbytes.functional as F
import numpy as np
import torch
from safetensors.torch import save_file

ROWS, COLS = 70, 256


def numbers(n):
    x = ((np.arange(n, dtype=np.uint64) * 2654435761 % 2**32) // 2**8).astype(np.float32) / np.float32(2**24) - np.float32(0.5)
    return torch.from_numpy(x * x * x)


def main():
    torch.set_num_threads(1)
    out = {}
    for name, kind, nested, dtype in [("a", "nf4", True, torch.bfloat16), ("b", "nf4", False, torch.float16),
                                      ("c", "fp4", True, torch.float32), ("d", "nf4", True, torch.float32)]:
        w = numbers(ROWS * COLS).view(ROWS, COLS).clone()
        w[3] = 0
        w[5, :64] *= 100
        w = w.to(dtype)
        q, state = F.quantize_4bit(w, blocksize=64, quant_type=kind, compress_statistics=nested)
        out[f"{name}.weight"] = q
        for k, v in state.as_dict(packed=True).items():
            out[f"{name}.weight.{k}"] = v
        out[f"{name}.plain"] = F.dequantize_4bit(q, state)
    for n in (1, 7, 39, 280, 4096, 13824, 32767):
        out[f"mean.{n}"] = numbers(n).abs().mean().view(1)
    save_file(out, sys.argv[1] + "/values/nf4.safetensors")


main()
