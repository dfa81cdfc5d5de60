"""Golden values of adapter_shira.c: PEFT's SHiRA on the tiny Llama, on modules of several shapes. PEFT has it for nn.Linear
alone, so there is none of GPT-2's Conv1D.

    python tools/golden/adapter_shira.py
"""
import copy
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import exact
import make_golden as golden
import tiny
import torch
from peft import ShiraConfig, get_peft_model
from transformers import AutoModelForCausalLM

RATE = 1e-2
exact.decays = lambda name, p: p.dim() >= 2


def shira(model, **options):
    m = get_peft_model(copy.deepcopy(model), ShiraConfig(task_type="CAUSAL_LM", **options))
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * 0.1)
    return m.eval()


def main():
    docs, learn = tiny.make_documents()
    cases = [("llama-shira", "llama", dict(r=2, target_modules=["q_proj", "k_proj", "down_proj"], random_seed=9))]
    for name, model_name, options in cases:
        model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        model.name_or_path = None
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = shira(model, **options)
        golden.save_adapter(m, f"{GOLDEN}/{name}")
        golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()


main()
