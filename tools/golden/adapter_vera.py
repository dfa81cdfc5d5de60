"""Golden values of adapter_vera.c: PEFT's VeRA on the tiny Llama, on modules of several widths, with its projections in the
file, and on the tiny GPT-2 without them, where they are drawn from the key.

    python tools/golden/adapter_vera.py
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
from peft import VeraConfig, get_peft_model
from transformers import AutoModelForCausalLM

RATE = 1e-2
exact.decays = lambda name, p: p.dim() >= 2


def vera(model, **options):
    m = get_peft_model(copy.deepcopy(model), VeraConfig(task_type="CAUSAL_LM", **options))
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * 0.3)
    return m.eval()


def main():
    docs, learn = tiny.make_documents()
    cases = [
        ("llama-vera", "llama", dict(r=6, target_modules=["q_proj", "k_proj", "up_proj", "down_proj"], projection_prng_key=5)),
        ("gpt2-vera", "gpt2", dict(r=5, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True, save_projection=False)),
    ]
    for name, model_name, options in cases:
        model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        model.name_or_path = None
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = vera(model, **options)
        golden.save_adapter(m, f"{GOLDEN}/{name}")
        golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()


main()
