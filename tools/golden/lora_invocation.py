"""Golden values of lora_invocation.c: PEFT's activated LoRA on the tiny Llama (two tokens, in two of three documents that begin
alike) and GPT-2 (one token, which some documents have several times, others not). Log-probabilities, gradients and
steps are of whole documents, where the last place counts; logits are of what stands up to their row, as a prompt.

    python tools/golden/lora_invocation.py
"""
import collections
import copy

import peft_method
import make_golden as golden
import exact
import tiny
import torch
from peft import LoraConfig

RATE = 1e-2


def prompt_logits(m, docs, rows):
    out, flat = [], [(d, j) for d in docs for j in range(len(d))]
    with torch.no_grad(), exact.float64():
        double = copy.deepcopy(m).double()
        for row in rows:
            d, j = flat[row]
            out.append(exact.logits_of(double, d[:j + 1])[-1])
    return golden.f32(torch.stack(out))


def main():
    docs, learn = tiny.make_documents()
    often = collections.Counter(t for d in docs[:6] for t in d).most_common(1)[0][0]
    cases = [
        ("llama-alora", "llama", docs[1][25:27], dict(r=4, lora_alpha=8, target_modules="all-linear")),
        ("gpt2-alora", "gpt2", [often], dict(r=3, lora_alpha=6, target_modules=["c_attn", "c_proj", "c_fc", "lm_head"], fan_in_fan_out=True)),
    ]
    for name, model_name, tokens, options in cases:
        print(name, tokens, [sum(d[i:i + len(tokens)] == tokens for i in range(len(d))) for d in docs])
        model = peft_method.base(model_name)
        config = LoraConfig(task_type="CAUSAL_LM", alora_invocation_tokens=tokens, **options)
        m = peft_method.with_numbers(model, config, "lora_B", 0.3)
        golden.save_adapter(m, f"{golden.OUT}/{name}")
        golden.check_reload(model, f"{golden.OUT}/{name}", m, docs)
        values = golden.forward_values(m, docs[:6], 9)
        values["logits"] = prompt_logits(m, docs[:6], values["logit_rows"])
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()


main()
