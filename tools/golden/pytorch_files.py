"""Small files of torch.save for the tests and the fuzz entry: every form, and what must be refused.

    tools/golden/pytorch_files.py test/fuzz/corpus/pytorch

needs torch."""
import os
import sys

import torch

OUT = sys.argv[1]
BASE = torch.arange(12, dtype=torch.float32).view(3, 4)


class Runs:
    def __reduce__(self):
        return os.system, ("true",)


def save(name, what, **how):
    torch.save(what, f"{OUT}/{name}", **how)


tensors = {"whole": BASE, "turned": BASE.t(), "part": BASE[1:, 2:], "row": BASE[2], "one": torch.tensor(2.5),
           "none": torch.zeros(0, 4)}
save("new.pt", tensors)
save("old.pt", tensors, _use_new_zipfile_serialization=False)
save("protocol4.pt", tensors, pickle_protocol=4)
save("nested.pt", {"epoch": 3, "lr": 1e-3, "names": ["a", ("b",), None, True], "state_dict": {"w": torch.nn.Parameter(BASE)}})
save("dtypes.pt", {str(t).split(".")[1]: torch.tensor([1.0, -2.0, 0.0]).to(t) for t in
                   (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2, torch.int64,
                    torch.int8, torch.bool)})
model = torch.nn.Linear(2, 2)
with torch.no_grad():
    model.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    model.bias.zero_()
save("linear.pt", model.state_dict())
save("module.pt", model)
save("runs.pt", {"a": Runs(), "w": BASE})
