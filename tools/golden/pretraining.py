"""Golden losses of pretraining: 50 steps of all weights of the tiny GPT-2, Llama and BERT, in float64, by transformers'
models and the optimizers of torch, lion-pytorch, transformers and schedulefree: each objective, and each optimizer once.

    python tools/golden/pretraining.py

Rows are taken in the order of the file, two a step. What is hidden, and which texts have their middle last, is drawn by
base/rng.c's random words as data/masking.h and data/fim.h say, and done here once more.
"""
import json
import pathlib

import exact
import objective_mlm
import philox
import torch
from lion_pytorch import Lion
from safetensors.torch import save_file
from schedulefree import AdamWScheduleFree
from torch.optim import _muon
from transformers import AutoModelForCausalLM, AutoTokenizer, BertForMaskedLM
from transformers.optimization import Adafactor

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, BATCH, WARMUP, DECAY, SEED, TOLERANCE = 50, 2, 5, 0.01, objective_mlm.SEED, 1e-4
FIM_RATE, SPM_RATE, MARKS = 0.7, 0.4, ["<fim_prefix>", "<fim_suffix>", "<fim_middle>"]
TEXTS = [json.loads(line)["text"] for line in open(GOLDEN / "texts.jsonl", encoding="utf-8")]


def newton_schulz(g, coefficients, steps, eps):
    """torch's, in the gradient's own float64 where it has bfloat16."""
    a, b, c = coefficients
    x = g.T if g.size(0) > g.size(1) else g
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if g.size(0) > g.size(1) else x


_muon._zeropower_via_newtonschulz = newton_schulz


def is_hidden_matrix(name, p):
    return p.dim() == 2 and not any(x in name for x in ("embed", "wte", "wpe", "lm_head"))


def optimizers(kind, named, rate):
    """Those that together step all weights."""
    def groups(some):
        return [{"params": [p for n, p in some if exact.decays(n, p)], "weight_decay": DECAY},
                {"params": [p for n, p in some if not exact.decays(n, p)], "weight_decay": 0.0}]
    adamw = {"betas": (0.9, 0.999), "eps": 1e-8}
    if kind == "muon":
        hidden = [p for n, p in named if is_hidden_matrix(n, p)]
        rest = [(n, p) for n, p in named if not is_hidden_matrix(n, p)]
        return [torch.optim.Muon(hidden, lr=rate, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
                torch.optim.AdamW(groups(rest), lr=rate, **adamw)]
    if kind == "lion":
        return [Lion(groups(named), lr=rate, betas=(0.9, 0.99))]
    if kind == "adafactor":
        return [Adafactor(groups(named), lr=rate, relative_step=False, scale_parameter=False)]
    if kind == "schedule_free_adamw":
        opt = AdamWScheduleFree(groups(named), lr=rate, betas=(0.9, 0.999), eps=1e-8, foreach=False)
        opt.train()
        return [opt]
    return [torch.optim.AdamW(groups(named), lr=rate, **adamw)]


# --- objectives: the loss of a document at a step, and how many tokens it is of ---

class NextTokens:
    def __init__(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(GOLDEN / name)
        self.model = AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float32).eval()
        self.texts = [self.ids(text) for text in TEXTS]

    def ids(self, text):
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def document(self, row, step, place):
        return self.texts[row] + [self.tokenizer.eos_token_id]

    def loss(self, row, step, place):
        ids = self.document(row, step, place)
        return exact.nll_sum(self.model, [ids], [[0] + [1] * (len(ids) - 1)])


class FillInTheMiddle(NextTokens):
    def __init__(self, name):
        super().__init__(name)
        n = len(self.tokenizer)
        self.tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
        self.marks = [n, n + 1, n + 2]
        mean = self.model.get_input_embeddings().weight.detach().double().mean(0).float()
        self.model.resize_token_embeddings(n + 3, mean_resizing=False)
        with torch.no_grad():
            self.model.get_input_embeddings().weight[n:] = mean

    def document(self, row, step, place):
        ids, text = self.texts[row], TEXTS[row]
        w = philox.units(SEED, philox.FIM, step, place, 0)
        if w[0] >= FIM_RATE:
            return super().document(row, step, place)
        a, b = sorted(int(x * (len(text) + 1)) for x in w[2:])
        prefix, middle, suffix = self.ids(text[:a]), self.ids(text[a:b]), self.ids(text[b:])
        assert len(prefix) + len(middle) + len(suffix) >= len(ids)
        room = len(ids) - 3 - len(prefix) - len(middle)
        if room < 1:
            return super().document(row, step, place)
        p, s, m = self.marks
        suffix = suffix[:room]
        ids = [p, s] + suffix + [m] + prefix + middle if w[1] < SPM_RATE else [p] + prefix + [s] + suffix + [m] + middle
        return ids + [self.tokenizer.eos_token_id]


class HiddenTokens:
    def __init__(self, name):
        self.tokenizer = AutoTokenizer.from_pretrained(GOLDEN / name)
        self.model = BertForMaskedLM.from_pretrained(GOLDEN / name, dtype=torch.float32).eval()
        self.texts = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]

    def loss(self, row, step, place):
        tok = self.tokenizer
        hidden, labels = objective_mlm.hide(self.texts[row], set(tok.all_special_ids), tok.mask_token_id, self.model.config.vocab_size, step + 1, row)
        logits = self.model(input_ids=torch.tensor([hidden])).logits[0]
        return torch.nn.functional.cross_entropy(logits, torch.tensor(labels), reduction="sum"), sum(x >= 0 for x in labels)


def train(objective, kind, rate, schedule):
    objective.model.double()
    named = list(objective.model.named_parameters())
    opts = optimizers(kind, named, rate)
    losses = []
    for step in range(STEPS):
        factor = 1 if schedule == "constant" else step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP)
        for opt in opts:
            for g in opt.param_groups:
                g["lr"] = rate * factor
        total = n = 0
        for place in range(BATCH):
            l, k = objective.loss((step * BATCH + place) % len(TEXTS), step, place)
            total, n = total + l, n + k
        loss = total / n
        objective.model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        for opt in opts:
            opt.step()
        losses.append(float(loss))
    return losses


def main():
    fim = f"--fim-rate={FIM_RATE} fim-spm-rate={SPM_RATE} new-tokens={','.join(MARKS)}"[2:]
    mlm = f"mlm-probability={objective_mlm.SHARE}"
    for file, row, objective, name, options, kind, rate, schedule in (
            ("ntp_gpt2", "sft", NextTokens, "gpt2", "", "adamw", 2e-3, "linear"),
            ("ntp_llama", "sft", NextTokens, "llama", "", "adamw", 2e-3, "linear"),
            ("ntp_llama_muon", "sft", NextTokens, "llama", "", "muon", 2e-3, "linear"),
            ("ntp_llama_lion", "sft", NextTokens, "llama", "", "lion", 2e-4, "linear"),
            ("ntp_llama_adafactor", "sft", NextTokens, "llama", "", "adafactor", 2e-3, "linear"),
            ("ntp_llama_schedule_free", "sft", NextTokens, "llama", "", "schedule_free_adamw", 2e-3, "constant"),
            ("fim_llama", "sft", FillInTheMiddle, "llama", fim, "adamw", 2e-3, "linear"),
            ("mlm_bert", "mlm", HiddenTokens, "bert", mlm, "adamw", 2e-3, "linear"),
            ("mlm_bert_muon", "mlm", HiddenTokens, "bert", mlm, "muon", 2e-3, "linear")):
        with exact.float64():
            losses = train(objective(name), kind, rate, schedule)
        warmup = f"warmup-steps={WARMUP}" if schedule == "linear" else "warmup-steps=0 lr-scheduler-type=constant"
        more = " adam-beta2=0.999" if kind != "lion" and kind != "adafactor" else ""
        asked = (f"method=full optim={kind} batch-size={BATCH} max-steps={STEPS} learning-rate={rate} weight-decay={DECAY} {warmup}{more} "
                 f"train-sampling-strategy=sequential micro-batch-tokens=120 max-length=60 seed={SEED} {options}").strip()
        meta = {"objective": row, "model": name, "rows": "texts.jsonl", "options": asked, "tolerance": str(TOLERANCE),
                "reference": f"transformers' {name} and {kind} of 50 steps in float64"}
        save_file({"loss": torch.tensor(losses, dtype=torch.float32)}, GOLDEN / f"values/objective_50_{file}.safetensors", meta)
        print(file, [round(x, 5) for x in losses[::7] + losses[-1:]])


main()
