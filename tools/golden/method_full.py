"""Golden values of --method full with --trainable and --trainable-layers: the tiny models with the other weights frozen.

    python tools/golden/method_full.py
"""
import os
import re
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import make_golden as golden
import tiny
import torch
from transformers import AutoModelForCausalLM

RATE = 1e-3
# name, model, what the options say, and the same as an expression for names of parameters
CASES = [
    ("llama-last", "llama", {"trainable": "norm", "trainable-layers": "last:1"}, r"model\.norm\.|model\.layers\.2\."),
    ("llama-untied-some", "llama-untied", {"trainable": r".*\.1\..*(q|down)_proj|lm_head"}, r".*\.1\..*(q|down)_proj|lm_head"),
    ("gpt2-embedding", "gpt2", {"trainable": "wte"}, r"transformer\.wte\."),
]


def main():
    docs, learn = tiny.make_documents()
    for name, model_name, options, trained in CASES:
        m = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        for module in m.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        for n, p in m.named_parameters():
            p.requires_grad = bool(re.match(trained, n))
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        golden.save(name, values, model=model_name, learning_rate=str(RATE), **options)
    golden.readable()


main()
