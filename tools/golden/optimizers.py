"""What the golden values of optimizers share: the parameters, their gradients, and the file that test_optimizers reads.

The gradient of step t (from 1) is a + t·b, in float32. A file test/golden/values/optimizer_NAME….safetensors holds
w.NAME (weights at the start; the name says the role), a.NAME, b.NAME, last.NAME (weights after the steps) and, of rows
that are to be compared so closely, first.STATE.NAME (the state after one step); of those that average, shown.NAME (what
is evaluated at the end). Its metadata name the row, its options,
the settings, the reference and how far off the end may be, as a part of the weights' norm or of the update's.
"""
import pathlib

import torch
from safetensors.torch import save_file

VALUES = pathlib.Path(__file__).resolve().parents[2] / "test/golden/values"


def parameters(shapes, seed):
    """{name: (w, a, b)}"""
    g = torch.Generator().manual_seed(seed)
    return {n: (torch.randn(s, generator=g), torch.randn(s, generator=g) / 10, torch.randn(s, generator=g) / 100)
            for n, s in shapes.items()}


def run(params, update, steps):
    """update(name, w, g, state, t) returns the new w and changes state; weights at the end and states after one step."""
    last, first = {}, {}
    for name, (w, a, b) in params.items():
        state = {}
        for t in range(1, steps + 1):
            w = update(name, w, a + t * b, state, t)
            if t == 1:
                first[name] = {k: v.clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
        last[name] = w
    return last, first


def off(a, b, start=None):
    """‖a − b‖ over all parameters, as a part of ‖b‖ or of ‖b − start‖."""
    d = sum(((a[n] - b[n]).double() ** 2).sum() for n in b)
    r = sum(((b[n] - start[n][0] if start else b[n]).double() ** 2).sum() for n in b)
    return (d / r).sqrt().item()


def save(file, row, reference, params, last, settings, steps, tolerance, of, options="", first={}, shown={}):
    tensors = {f"shown.{name}": x for name, x in shown.items()}
    for name, (w, a, b) in params.items():
        tensors |= {f"w.{name}": w, f"a.{name}": a, f"b.{name}": b, f"last.{name}": last[name]}
        tensors |= {f"first.{k}.{name}": v for k, v in first.get(name, {}).items()}
    meta = {"optimizer": row, "reference": reference, "options": options, "steps": str(steps), "tolerance": str(tolerance), "of": of}
    save_file({k: v.contiguous() for k, v in tensors.items()}, VALUES / file, meta | {k: repr(v) for k, v in settings.items()})
    print(file, (VALUES / file).stat().st_size, "bytes")
