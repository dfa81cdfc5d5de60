"""Golden values of adapter_adalora.c: PEFT's AdaLoRA on the tiny Llama and GPT-2. Ten steps go with its own update_and_allocate
after each and its orthogonal regularization in the loss; llama-adalora-left is what the first of them leaves.

    python tools/golden/adapter_adalora.py
"""
import copy

import peft_method
import make_golden as golden
import exact
import tiny
import torch
from peft import AdaLoraConfig, PeftModel

RATE, DECAY, STEPS, WARMUP = 1e-2, 0.01, 10, 2


def apart(m):
    """PEFT's own formula, of AdaLoraModel.forward, which adds it where a model computes its loss itself."""
    norms = []
    for n, p in m.named_parameters():
        if "lora_A" in n or "lora_B" in n:
            c = p @ p.T if "lora_A" in n else p.T @ p
            norms.append(torch.norm(c - torch.eye(*c.shape, dtype=c.dtype), p="fro"))
    return sum(norms) / len(norms) * m.peft_config["default"].orth_reg_weight


def train(m, batches):
    named = [(n, p) for n, p in m.named_parameters() if p.requires_grad]
    groups = [{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
              {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    losses, norms = [], []
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP))
        total, count = exact.nll_sum(m, *batches[step % len(batches)])
        loss = total / count + apart(m)
        opt.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)))
        opt.step()
        m.base_model.update_and_allocate(step + 1)
        losses.append(float(loss.detach()))
    return losses, norms


def check_left(model, path, tuned, docs):
    again = PeftModel.from_pretrained(copy.deepcopy(model), path).eval()
    with torch.no_grad():  # sums of fewer numbers
        golden.close("what is left, read back", exact.logits_of(again, docs[0]), exact.logits_of(tuned, docs[0]), 1e-5)


def values_of(m, docs, learn):
    """Those of peft_method.write, with the ten steps as they are here; and the model after them."""
    values = golden.forward_values(m, docs[:6], 9)
    values.update(golden.gradient_values(m, docs[:6], learn[:6]))
    batches = golden.batches_of(docs, learn)
    with exact.float64():
        tuned = copy.deepcopy(m).double()
        losses, norms = train(tuned, batches)
    plain = copy.deepcopy(m)
    golden.close("losses, float32 against float64", train(plain, batches)[0], losses, 1e-5)
    ranks = tuned.peft_config["default"].rank_pattern
    assert ranks == plain.peft_config["default"].rank_pattern
    print("    ranks:", [sum(x) for x in ranks.values()])
    values.update({"losses": golden.f32(losses), "grad_norms": golden.f32(norms)})
    for n, p in tuned.named_parameters():
        if p.requires_grad:
            values[f"final.{golden.peft_name(n)}"] = golden.f32(p)
    for n, x in ranks.items():
        values[f"rank.{n.replace('.lora_E.default', '')}"] = golden.f32(x)
    return values, plain


def main():
    docs, learn = tiny.make_documents()
    cases = [
        ("llama-adalora", "llama", "init-r=6 target-r=3 tinit=2 tfinal=2 deltaT=3 orth-reg-weight=0.3 lora-alpha=9",
         dict(init_r=6, target_r=3, tinit=2, tfinal=2, deltaT=3, orth_reg_weight=0.3, lora_alpha=9, target_modules="all-linear")),
        ("gpt2-adalora", "gpt2", "init-r=5 target-r=2 tfinal=3 beta1=0.7 beta2=0.9 lora-alpha=32 target-modules=c_attn,mlp.c_proj",
         dict(init_r=5, target_r=2, tfinal=3, beta1=0.7, beta2=0.9, lora_alpha=32, target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True)),
    ]
    for name, model_name, said, options in cases:
        print(name)
        model = peft_method.base(model_name)
        m = peft_method.with_numbers(model, AdaLoraConfig(task_type="CAUSAL_LM", total_step=STEPS, **options), "lora_", 0.3)
        golden.save_adapter(m, f"{golden.OUT}/{name}")
        golden.check_reload(model, f"{golden.OUT}/{name}", m, docs)
        values, tuned = values_of(m, docs, learn)
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE), method="adalora", options=said)
        if name == "llama-adalora":
            golden.save_adapter(tuned, f"{golden.OUT}/{name}-left")
            check_left(model, f"{golden.OUT}/{name}-left", tuned, docs)
            golden.save(f"{name}-left", golden.forward_values(tuned.eval(), docs[:6], 9), model=model_name, adapter=f"{name}-left")
    golden.readable()


main()
