"""Golden values of the head's z-loss (op_token_logprob.c): loss and gradients by torch's autograd in float64.

    python tools/golden/z_loss.py

loss = sum over labels of weight * (cross-entropy + z_loss * logsumexp(logits)^2), as PaLM and Liger have it.
"""
import pathlib

import torch
from safetensors.torch import save_file

Z_LOSS, R, V, C = 0.03, 7, 37, 12
g = torch.Generator().manual_seed(21)
x = torch.randn(R, C, generator=g, dtype=torch.float64).float().double().requires_grad_()
w = torch.randn(V, C, generator=g, dtype=torch.float64).float().double().requires_grad_()
target = torch.tensor([0, 0, 1, 2, 3, 3, 3, 5, 6])
token = torch.randint(V, target.shape, generator=g)
weight = torch.tensor([1, 0.5, 1, 2, 1, 0.25, 1, 1, 0.75], dtype=torch.float64)
logits = (x @ w.T)[target]
z = logits.logsumexp(-1)
loss = (weight * (torch.nn.functional.cross_entropy(logits, token, reduction="none") + Z_LOSS * z ** 2)).sum()
loss.backward()
save_file({"x": x.detach().float(), "w": w.detach().float(), "target": target.int(), "token": token.int(), "weight": weight.float(),
           "z": z.detach().float(), "dx": x.grad.float(), "dw": w.grad.float(), "z_loss": torch.tensor([Z_LOSS])},
          pathlib.Path(__file__).resolve().parents[2] / "test/golden/values/z_loss.safetensors")
