#!/usr/bin/env python3
"""Makes test/golden: tiny models and what PyTorch, transformers and PEFT compute with them.

    python tools/golden/make_golden.py [test/golden]           all of it
    python tools/golden/make_golden.py test/golden qwen2 …     of these model_NAME.py alone, beside the rest

needs torch, transformers, peft, gguf, tokenizers, safetensors. Values are computed in float64 (exact.py) and stored as
float32; the float32 originals, transformers' own Trainer among them, are compared with them on the way, and a
difference beyond float32's rounding stops the script. test/golden/README.md says what each file holds."""
import copy
import glob
import importlib
import json
import os
import shutil
import sys
import tempfile

import gguf
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import exact
import tiny
import tiny_gguf
import twin_gpt2

OUT = sys.argv[1] if len(sys.argv) > 1 else "test/golden"
FULL_LR, LORA_LR = 1e-3, 1e-2
torch.set_num_threads(1)
torch.use_deterministic_algorithms(True)


def f32(x):
    return np.ascontiguousarray(torch.as_tensor(x).detach().to(torch.float32).numpy())


def i32(x):
    return np.asarray(x, dtype=np.int32)


def save(name, tensors, **about):
    """about: model=, adapter=, learning_rate=: whose the values are, for test_golden_values."""
    os.makedirs(f"{OUT}/values", exist_ok=True)
    save_file({k: tensors[k] for k in sorted(tensors)}, f"{OUT}/values/{name}.safetensors", metadata=about or None)


def readable():
    """safetensors makes files that only their owner may read."""
    for folder, _, files in os.walk(OUT):
        for f in files:
            os.chmod(f"{folder}/{f}", 0o644)


def close(name, got, want, tolerance):
    got, want = torch.as_tensor(got).double(), torch.as_tensor(want).double()
    worst = float((got - want).abs().max() / want.abs().max().clamp_min(1e-30))
    print(f"    {name}: {worst:.1e}")
    assert worst <= tolerance, (name, worst, tolerance)


def logit_rows(docs, every):
    """Flat numbers of the rows whose logits are kept: they have a next token, so a scorer computes them."""
    rows, start = [], 0
    for d in docs:
        rows += [start + j for j in range(len(d) - 1) if j % every == 0 or j == len(d) - 2]
        start += len(d)
    return rows


def forward_values(model, docs, every):
    """Logits of some rows and the log-probability of every token, in float64; checked against plain float32."""
    with torch.no_grad():
        with exact.float64():
            m = copy.deepcopy(model).double()
            logits = torch.cat([exact.logits_of(m, d) for d in docs])
            logprob = torch.cat([exact.token_logprobs(m, d) for d in docs])
        plain = torch.cat([exact.logits_of(model, d) for d in docs])
    close("logits, float32 against float64", plain, logits, 1e-5)
    rows = logit_rows(docs, every)
    return {"logit_rows": i32(rows), "logits": f32(logits[rows]), "logprob": f32(logprob)} | state_values(model, docs)


def state_values(model, docs):
    """An encoder's state of every row, after the final norm, in float64; checked against plain float32."""
    if not exact.is_encoder(model):
        return {}
    with torch.no_grad():
        with exact.float64():
            m = copy.deepcopy(model).double()
            states = torch.cat([exact.states_of(m, d) for d in docs])
        plain = torch.cat([exact.states_of(model, d) for d in docs])
    close("states, float32 against float64", plain, states, 1e-5)
    return {"states": f32(states)}


def gradient_values(model, docs, learn, prefix="grad."):
    """Gradient of the summed loss (not divided) of all trainable parameters."""
    out = {}
    for double in (True, False):
        m = copy.deepcopy(model)
        with exact.float64() if double else torch.enable_grad():
            m = m.double() if double else m
            total, _ = exact.nll_sum(m, docs, learn)
            total.backward()
        for n, p in m.named_parameters():
            if not p.requires_grad:
                continue
            key = prefix + peft_name(n)
            if double:
                # a bias of keys shifts all scores of a row alike: what is there is rounding
                out[key] = f32(p.grad if p.grad.abs().max() > 1e-10 else torch.zeros_like(p))
            elif (out[key] != 0).any():
                worst = (p.grad - torch.tensor(out[key])).abs().max() / np.abs(out[key]).max()
                assert worst < 1e-4, (n, worst)
        if double:
            out["nll_sum"] = f32(total)
    return out


def peft_name(n):
    """As the adapter's file names it."""
    return n.replace(".default", "").replace("modules_to_save.", "")


def batches_of(docs, learn, size=4):
    return [(docs[i:i + size], learn[i:i + size]) for i in range(0, len(docs), size)]


def train_values(model, batches, lr, decay, keep_weights, prefix=""):
    with exact.float64():
        m = copy.deepcopy(model).double()
        losses, norms = exact.train(m, batches, lr, decay)
    plain = copy.deepcopy(model)
    plain_losses, _ = exact.train(plain, batches, lr, decay)
    close("losses, float32 against float64", plain_losses, losses, 1e-5)
    out = {prefix + "losses": f32(losses), prefix + "grad_norms": f32(norms)}
    if keep_weights:
        for n, p in m.named_parameters():
            if p.requires_grad:
                out[f"{prefix}final.{peft_name(n)}"] = f32(p)
    return out


class Rows(torch.utils.data.Dataset):
    def __init__(self, docs, learn):
        self.items = [{"input_ids": d, "labels": [t if k else -100 for t, k in zip(d, l)]} for d, l in zip(docs, learn)]

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


def check_with_trainer(model, batch, losses, lr, decay):
    """transformers' Trainer itself, in float32, on the same four documents ten times, two accumulated halves a step."""
    def collate(items):
        n = max(len(x["input_ids"]) for x in items)
        pad = lambda xs, v: torch.tensor([x + [v] * (n - len(x)) for x in xs])
        return {"input_ids": pad([x["input_ids"] for x in items], 0), "labels": pad([x["labels"] for x in items], -100),
                "attention_mask": pad([[1] * len(x["input_ids"]) for x in items], 0)}

    model = copy.deepcopy(model)
    with tempfile.TemporaryDirectory() as tmp:
        args = TrainingArguments(
            output_dir=tmp, max_steps=10, per_device_train_batch_size=2, gradient_accumulation_steps=2,
            learning_rate=lr, weight_decay=decay, max_grad_norm=1.0, lr_scheduler_type="linear", warmup_steps=2,
            logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, optim="adamw_torch", disable_tqdm=True,
            dataloader_pin_memory=False, logging_nan_inf_filter=False)
        t = Trainer(model=model, args=args, train_dataset=Rows(*batch), data_collator=collate)
        t.train()
        got = [h["loss"] for h in t.state.log_history if "loss" in h]
    close("losses, transformers' Trainer against ours", got, losses, 1e-5)


def lora(model, **options):
    """A PEFT model with numbers in what begins as zero too, so that every gradient is there."""
    torch.manual_seed(5)
    base = copy.deepcopy(model)
    m = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **options))
    g = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if "lora_B" in n or "lora_embedding_A" in n:
                p.copy_(torch.randn(p.shape, generator=g) * 0.2)
            elif "modules_to_save" in n and p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * 0.05)
    return m.eval()


def save_adapter(m, path):
    m.save_pretrained(path)
    for f in os.listdir(path):
        if f not in ("adapter_config.json", "adapter_model.safetensors"):
            os.remove(f"{path}/{f}")
    with open(f"{path}/adapter_config.json") as f:
        config = json.load(f)
    for key, value in config.items():  # lists were sets, in no order
        config[key] = sorted(value) if isinstance(value, list) and key != "alora_invocation_tokens" else value
    with open(f"{path}/adapter_config.json", "w") as f:
        json.dump(config, f, indent=2)
        f.write("\n")


def check_reload(model, path, m, docs):
    again = PeftModel.from_pretrained(copy.deepcopy(model), path).eval()
    with torch.no_grad():
        close("adapter read back", exact.logits_of(again, docs[0]), exact.logits_of(m, docs[0]), 1e-6)


def model_values(name, model, docs, learn, keep_weights):
    print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters")
    values = forward_values(model, docs[:6], 8)
    values.update(gradient_values(model, docs[:6], learn[:6]))
    values.update(train_values(model, batches_of(docs, learn), FULL_LR, 0.01, keep_weights))
    return values


def lora_values(name, model, docs, learn, targets="all-linear"):
    print(f"{name}: LoRA")
    m = lora(model, r=4, lora_alpha=8, lora_dropout=0.0, target_modules=targets)
    save_adapter(m, f"{OUT}/{name}")
    check_reload(model, f"{OUT}/{name}", m, docs)
    values = forward_values(m, docs[:6], 9)
    values.update(gradient_values(m, docs[:6], learn[:6]))
    values.update(train_values(m, batches_of(docs, learn), LORA_LR, 0.01, True))
    return values


def expert_lora_values(name, base, model, maker, docs, learn):
    """LoRA on experts that are linears by themselves, named as files have them; PEFT reads it onto the fused ones."""
    print(f"{name}: LoRA on separate experts")
    m = lora(maker.with_modules(model), r=4, lora_alpha=8, lora_dropout=0.0, target_modules=maker.LORA)
    save_adapter(m, f"{OUT}/{name}")
    path = f"{OUT}/{name}/adapter_model.safetensors"
    named = lambda values: dict(pair for k, v in values.items() for pair in maker.saved(k, v).items())
    save_file(named(load_file(path)), path, metadata={"format": "pt"})
    check_reload(model, f"{OUT}/{name}", m, docs)
    values = forward_values(m, docs[:6], 9)
    values.update(gradient_values(m, docs[:6], learn[:6]))
    values.update(train_values(m, batches_of(docs, learn), LORA_LR, 0.01, True))
    save(name, named(values), model=base, adapter=name, learning_rate=str(LORA_LR))


def variant_values(name, model, docs, **options):
    print(f"{name}")
    m = lora(model, r=4, lora_alpha=8, **options)
    save_adapter(m, f"{OUT}/{name}")
    check_reload(model, f"{OUT}/{name}", m, docs)
    return forward_values(m, docs[:6], 9)


def tied_values(name, model, docs):
    """ensure_weight_tying: what is added to embedding and head shares its memory, so it is computed with as two that do not."""
    print(f"{name}")
    options = dict(r=4, lora_alpha=8)
    m = lora(model, target_modules=["embed_tokens", "q_proj"], ensure_weight_tying=True, **options)
    save_adapter(m, f"{OUT}/{name}")
    check_reload(model, f"{OUT}/{name}", m, docs)
    apart = lora(model, target_modules=["embed_tokens", "lm_head", "q_proj"], **options)
    apart.load_state_dict(m.state_dict())
    with torch.no_grad():
        close("tied and apart", exact.logits_of(apart, docs[0]), exact.logits_of(m, docs[0]), 1e-6)
    return forward_values(apart, docs[:6], 9)


def gguf_values(name, tokenizer, model, arch, maker=None):
    """The file, and the model whose numbers it stands for."""
    print(f"{name}.gguf")
    stored = tiny_gguf.write(f"{OUT}/{name}.gguf", model, tokenizer, tiny.TEMPLATE, arch, tiny_gguf.Twin(maker))
    m = copy.deepcopy(model)
    m.load_state_dict(stored)
    tiny_gguf.Twin(maker).change(m)
    if not getattr(maker, "GGUF_READ", True):  # their reader does not know this architecture's files
        return m
    with tempfile.TemporaryDirectory() as tmp:
        shutil.copy(f"{OUT}/{name}.gguf", f"{tmp}/{name}.gguf")
        # its reader leaves out the size of heads of all but Llama's files
        config = None if arch == gguf.MODEL_ARCH.LLAMA else copy.deepcopy(model.config)
        theirs = AutoModelForCausalLM.from_pretrained(tmp, gguf_file=f"{name}.gguf", config=config, dtype=torch.float32)
    for n, p in theirs.named_parameters():
        close("transformers reads " + n, p, m.state_dict()[n], 0)
    return m


def makers():
    """tools/golden/model_NAME.py: make(tokenizer) gives the model NAME, GGUF is its architecture there (or None)."""
    here = os.path.dirname(os.path.abspath(__file__))
    return sorted(os.path.basename(p)[len("model_"):-len(".py")] for p in glob.glob(f"{here}/model_*.py"))


def made_values(name, tok, docs, learn):
    maker = importlib.import_module(f"model_{name}")
    model = maker.make(tok)
    if getattr(maker, "GGUF_ONLY", False):
        maker.write_gguf(f"{OUT}/{name}.gguf", model, tok)
        save(f"{name}.gguf", model_values(name, model, docs, learn, False), model=f"{name}.gguf",
             learning_rate=str(FULL_LR))
        return
    tiny.save_model(model, tok, f"{OUT}/{name}")
    names = getattr(maker, "SAVED_AS", {})  # names of files where the class has others
    saved = getattr(maker, "saved", lambda key, x: {names.get(key, key): x})
    values = [saved(k, v).items() for k, v in model_values(name, model, docs, learn, False).items()]
    save(name, dict(pair for some in values for pair in some), model=name, learning_rate=str(FULL_LR))
    if hasattr(maker, "LORA"):
        expert_lora_values(f"{name}-lora", name, model, maker, docs, learn)
    if maker.GGUF:
        headless = exact.is_encoder(model)  # GGUF has no head of masked tokens
        m = gguf_values(name, tok, model.base_model if headless else model, maker.GGUF, maker)
        save(f"{name}.gguf", state_values(m, docs[:6]) if headless else forward_values(m, docs[:6], 9), model=f"{name}.gguf")


def llama_gguf_values(tok, model, docs):
    m = gguf_values("llama", tok, model, gguf.MODEL_ARCH.LLAMA)
    save("llama.gguf", forward_values(m, docs[:6], 9), model="llama.gguf")
    for name in ("lora", "ends"):  # the second brings the embedding that it was made for
        with_adapter = PeftModel.from_pretrained(copy.deepcopy(m), f"{OUT}/llama-{name}").eval()
        save(f"llama.gguf-{name}", forward_values(with_adapter, docs[:6], 9), model="llama.gguf",
             adapter=f"llama-{name}")


def gpt2_gguf_values(tok, model, docs):
    m = gguf_values("gpt2", tok, model, twin_gpt2.GGUF, twin_gpt2)
    save("gpt2.gguf", forward_values(m, docs[:6], 9), model="gpt2.gguf")


def row_values(tok, model):
    print("rows through the whole pipeline")
    tiny.write_rows(f"{OUT}/rows.jsonl")
    batch = tiny.row_documents(tok)
    values = train_values(model, [batch], FULL_LR, 0.01, False, "full.")
    check_with_trainer(model, batch, values["full.losses"], FULL_LR, 0.01)
    values.update({"ids": i32(sum(batch[0], [])), "learn": i32(sum(batch[1], [])), "lengths": i32([len(d) for d in batch[0]])})
    save("rows", values)


def make_all(tok, docs, learn):
    tok_gpt2 = tiny.make_tokenizer("gpt2")
    models = {"llama": tiny.make_llama(True, tok), "llama-untied": tiny.make_llama(False, tok), "gpt2": tiny.make_gpt2(tok_gpt2)}
    for name, model in models.items():
        tiny.save_model(model, tok_gpt2 if name == "gpt2" else tok, f"{OUT}/{name}")
    save("documents", {"ids": i32(sum(docs, [])), "learn": i32(sum(learn, [])), "lengths": i32([len(d) for d in docs])})
    for name, model in models.items():
        save(name, model_values(name, model, docs, learn, name == "llama"), model=name, learning_rate=str(FULL_LR))
    adapter = lambda name, base, values, **about: save(name, values, model=base, adapter=name, **about)
    rate = {"learning_rate": str(LORA_LR)}
    for base in ("llama", "gpt2"):
        adapter(f"{base}-lora", base, lora_values(f"{base}-lora", models[base], docs, learn), **rate)
    for base, ends in (("llama", ["embed_tokens", "lm_head"]), ("llama-untied", ["embed_tokens", "lm_head", "up_proj"]), ("gpt2", ["wte", "wpe", "lm_head"])):
        adapter(f"{base}-ends", base, lora_values(f"{base}-ends", models[base], docs, learn, ends), **rate)
    adapter("llama-tied-ends", "llama", tied_values("llama-tied-ends", models["llama"], docs))
    adapter("llama-rslora", "llama", variant_values("llama-rslora", models["llama"], docs, use_rslora=True,
                                                    target_modules=["q_proj", "v_proj", "down_proj"]))
    adapter("llama-untied-whole", "llama-untied",
            variant_values("llama-untied-whole", models["llama-untied"], docs, target_modules=["o_proj"],
                           modules_to_save=["lm_head", "embed_tokens"]))
    llama_gguf_values(tok, models["llama"], docs)
    gpt2_gguf_values(tok_gpt2, models["gpt2"], docs)
    row_values(tok, models["llama"])


def main():
    docs, learn = tiny.make_documents()
    tok = tiny.make_tokenizer("smollm")
    if not sys.argv[2:]:
        make_all(tok, docs, learn)
    for name in sys.argv[2:] or makers():
        made_values(name, tok, docs, learn)
    readable()


if __name__ == "__main__":
    main()
