"""What the scripts adapter_NAME.py of PEFT's methods share: a PEFT model with numbers everywhere, its folder, its values."""
import copy
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import make_golden as golden
import tiny
import torch
from peft import get_peft_model
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

RATE = 1e-2


def plain_linears(model):
    """Conv1D as nn.Linear, the same numbers: what PEFT has no layer of its own for works on that."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, Conv1D):
                linear = torch.nn.Linear(*child.weight.shape)
                linear.weight.data, linear.bias.data = child.weight.data.T.contiguous(), child.bias.data
                setattr(module, name, linear)
    return model


def base(name, linears=False):
    model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{name}", dtype=torch.float32).eval()
    model.name_or_path = None
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return plain_linears(model) if linears else model


def with_numbers(model, config, mark, size):
    """Begun as PEFT begins it, then every number of a parameter named with `mark` moved, and modules saved whole too."""
    torch.manual_seed(5)
    m = get_peft_model(copy.deepcopy(model), config)
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * (size if mark in n else 0.05))
    return m.eval()


def write(name, model_name, model, m, train=True):
    docs, learn = tiny.make_documents()
    print(name)
    golden.save_adapter(m, f"{GOLDEN}/{name}")
    golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
    values = golden.forward_values(m, docs[:6], 9)
    values.update(golden.gradient_values(m, docs[:6], learn[:6]))
    if train:
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
    golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()
