"""Golden values of LoRA's options: PEFT's own on the tiny models.

    python tools/golden/adapter_lora.py [NAME …]

The folder is what PEFT saves; values/NAME.safetensors has its logits, gradients, and ten steps by its own optimizer where
it has one (LoRA+)."""
import copy
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
ASKED = sys.argv[1:]
sys.argv = [sys.argv[0], GOLDEN]
import exact
import make_golden as golden
import tiny
import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoModelForCausalLM

RATE = 1e-2
STEPS, WARMUP = 10, 2
plain_train = exact.train


float_svd = torch.linalg.svd


def exact_svd(x, **options):
    """In double: of values that lie near each other float's vectors are off by more than is allowed here."""
    return tuple(t.to(x.dtype) for t in float_svd(x.double(), **options))


torch.linalg.svd = exact_svd


def lora(model, **options):
    """With numbers in what begins as zero too, so that every gradient is there."""
    torch.manual_seed(5)
    m = get_peft_model(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options))
    g = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if options.get("init_lora_weights", "gaussian") != "gaussian":  # what was taken out of the weight stays in sight
                if p.requires_grad:
                    p.add_(torch.randn(p.shape, generator=g) * 0.03)
            elif "lora_B" in n or "lora_embedding_A" in n:
                p.copy_(torch.randn(p.shape, generator=g) * 0.2)
            elif "lora_magnitude" in n:
                p.mul_(1 + 0.2 * torch.randn(p.shape, generator=g))
            elif p.requires_grad and "lora_" not in n:
                p.add_(torch.randn(p.shape, generator=g) * 0.05)
    return m.eval()


def with_optimizer(make):
    """exact.train with an optimizer of the caller's, whose groups keep their own rates."""
    def train(model, batches, lr, decay, steps=STEPS, warmup=WARMUP):
        opt = make(model, lr, decay)
        peaks = [g["lr"] for g in opt.param_groups]
        params = [p for p in model.parameters() if p.requires_grad]
        losses, norms = [], []
        for step in range(steps):
            factor = step / warmup if step < warmup else (steps - step) / (steps - warmup)
            for g, peak in zip(opt.param_groups, peaks):
                g["lr"] = peak * factor
            total, count = exact.nll_sum(model, *batches[step % len(batches)])
            loss = total / count
            opt.zero_grad()
            loss.backward()
            norms.append(float(torch.nn.utils.clip_grad_norm_(params, 1.0)))
            opt.step()
            losses.append(float(loss))
        return losses, norms
    return train


def plus(ratio, embedding):
    """PEFT's groups; what of them are vectors is not decayed, as transformers' Trainer has it for other methods."""
    def make(model, lr, decay):
        opt = create_loraplus_optimizer(model, torch.optim.AdamW, lr=lr, loraplus_lr_ratio=ratio, loraplus_lr_embedding=embedding,
                                        loraplus_weight_decay=decay, betas=(0.9, 0.999), eps=1e-8)
        for g in list(opt.param_groups):
            vectors = [p for p in g["params"] if p.dim() == 1]
            g["params"] = [p for p in g["params"] if p.dim() > 1]
            if vectors:
                opt.add_param_group(dict(params=vectors, lr=g["lr"], weight_decay=0.0))
        return opt
    return with_optimizer(make)


CASES = [
    # name, model, PEFT's options, how it is trained, our options of a new one (else it is loaded)
    ("llama-loraplus", "llama-untied", dict(target_modules=["q_proj", "up_proj", "embed_tokens"], modules_to_save=["norm"]),
     plus(4.0, 3e-3), "lora-r=4 lora-alpha=8 target-modules=q_proj,up_proj,embed_tokens modules-to-save=norm "
     "loraplus-lr-ratio=4 loraplus-lr-embedding=3e-3"),

    # biases and norms, which PEFT has under the tuner's layers
    ("gpt2-lora-bias", "gpt2", dict(target_modules=["c_attn", "mlp.c_proj"], fan_in_fan_out=True, lora_bias=True, bias="all"), None, None),
    ("qwen2-lora-bias", "qwen2", dict(target_modules=["q_proj", "o_proj"], bias="lora_only"), None, None),
    ("llama-gaussian", "llama", dict(target_modules=["q_proj", "up_proj"], init_lora_weights="gaussian"), None,
     "lora-r=4 lora-alpha=8 target-modules=q_proj,up_proj init-lora-weights=gaussian"),
    ("llama-pissa", "llama", dict(target_modules="all-linear", init_lora_weights="pissa"), None,
     "lora-r=4 lora-alpha=8 init-lora-weights=pissa"),
    ("gpt2-pissa", "gpt2", dict(target_modules="all-linear", fan_in_fan_out=True, use_rslora=True, init_lora_weights="pissa"), None,
     "lora-r=4 lora-alpha=8 use-rslora=true init-lora-weights=pissa"),
    ("llama-olora", "llama", dict(target_modules="all-linear", init_lora_weights="olora"), None,
     "lora-r=4 lora-alpha=8 init-lora-weights=olora"),  # of a Conv1D PEFT takes the transpose apart
    ("llama-dora", "llama", dict(target_modules="all-linear", use_dora=True), None, None),
    ("llama-dora-ends", "llama", dict(target_modules=["embed_tokens", "v_proj"], use_dora=True, use_rslora=True), None, None),
    ("gpt2-dora", "gpt2", dict(target_modules="all-linear", fan_in_fan_out=True, use_dora=True), None, None),
]


def as_files(values):
    """A magnitude has no ".weight" in files."""
    return {k.replace("lora_magnitude_vector.weight", "lora_magnitude_vector"): v for k, v in values.items()}


def as_plain(path):
    """A and B alone, for whoever reads the folder: what PEFT took out of the base is made here by the options."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for way in ("pissa", "olora"):
        text = text.replace(f'"init_lora_weights": "{way}"', '"init_lora_weights": true')
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def main():
    docs, learn = tiny.make_documents()
    for name, model_name, options, train, ours in CASES:
        if ASKED and name not in ASKED:
            continue
        print(name)
        model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        model.name_or_path = None
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = lora(model, **options)
        golden.save_adapter(m, f"{GOLDEN}/{name}")
        golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
        as_plain(f"{GOLDEN}/{name}/adapter_config.json")
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        exact.train = train or plain_train
        # a bias of keys has no gradient: what AdamW makes of rounding is left out
        keep = "bias" not in options
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, keep))
        about = dict(method="lora", options=ours) if ours else {}
        golden.save(name, as_files(values), model=model_name, adapter=name, learning_rate=str(RATE), **about)
    golden.readable()


main()
