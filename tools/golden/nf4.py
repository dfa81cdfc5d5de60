"""Golden values of matrices that bitsandbytes made 4-bit floats of: the tensors that transformers saves for each, and what
bitsandbytes computes with. Writes test/golden/values/nf4.safetensors; a tensor NAME.weight and what belongs to it, and
NAME.plain.

    python tools/golden/nf4.py test/golden
"""
import sys

import bitsandbytes.functional as F
import torch
from safetensors.torch import save_file


def main():
    g = torch.Generator().manual_seed(21)
    out = {}
    for name, kind, nested, dtype in [("a", "nf4", True, torch.bfloat16), ("b", "nf4", False, torch.float16),
                                      ("c", "fp4", True, torch.float32)]:
        w = (torch.randn(70, 256, generator=g) * 0.05).to(dtype)
        w[3] = 0
        w[5, :64] *= 100
        q, state = F.quantize_4bit(w, blocksize=64, quant_type=kind, compress_statistics=nested)
        out[f"{name}.weight"] = q
        for k, v in state.as_dict(packed=True).items():
            out[f"{name}.weight.{k}"] = v
        out[f"{name}.plain"] = F.dequantize_4bit(q, state)
    save_file(out, sys.argv[1] + "/values/nf4.safetensors")


main()
