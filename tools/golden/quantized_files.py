"""Small files of quantized matrices for the fuzz entry: a byte of the configuration, one of the form, then the file.

    tools/golden/quantized_files.py test/fuzz/corpus/quantized

needs torch and safetensors."""
import io
import sys

import torch
from safetensors.torch import save

OUT = sys.argv[1]
torch.manual_seed(1)


def words(*shape):
    return torch.randint(-2**31, 2**31 - 1, shape, dtype=torch.int32)


def write(name, config, tensors):
    with open(f"{OUT}/{name}", "wb") as f:
        f.write(bytes([config, 0]) + save(tensors))
    packed = io.BytesIO()
    torch.save(tensors, packed)
    with open(f"{OUT}/{name}-torch", "wb") as f:
        f.write(bytes([config, 1]) + packed.getvalue())


write("gptq", 0, {"a.qweight": words(1, 8), "a.qzeros": words(2, 1), "a.scales": torch.rand(2, 8).half(),
                  "a.g_idx": torch.tensor([1, 0, 0, 1, 0, 1, 1, 0], dtype=torch.int32), "a.bias": torch.zeros(8)})
write("gptq8", 1, {"a.qweight": words(2, 8), "a.qzeros": words(1, 2), "a.scales": torch.rand(1, 8)})
write("awq", 2, {"a.qweight": words(8, 1), "a.qzeros": words(2, 1), "a.scales": torch.rand(2, 8).half()})
write("fp8", 3, {"a.weight": torch.randn(8, 6).to(torch.float8_e4m3fn), "a.weight_scale_inv": torch.rand(2, 2)})
write("rows", 4, {"a.weight": torch.randn(8, 6).to(torch.float8_e4m3fn), "a.weight_scale": torch.rand(8, 1),
                  "a.input_scale": torch.rand(1)})
