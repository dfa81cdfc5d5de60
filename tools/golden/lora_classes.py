"""Golden values of adapters under a head that classifies, as PEFT has them (task_type SEQ_CLS): LoRA on the tiny BERT and
the tiny Llama, soft prompts on decoders: ten steps in float64 from an adapter that kungfu began and PEFT reads, whose outputs
begin as 0.

    python tools/golden/lora_classes.py [WHAT-MODEL …]

Needs build/kungfu; a changed beginning of an adapter makes these values anew.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import exact
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "test/golden"
STEPS, RATE, DECAY = 10, 1e-2, 0.01
ROWS = [json.loads(line) for line in open(GOLDEN / "classes.jsonl", encoding="utf-8")]
NAMES = sorted({r["label"] for r in ROWS})
WANTED = torch.tensor([NAMES.index(r["label"]) for r in ROWS])
OPTIONS = {"per-device-train-batch-size": len(ROWS),
           "max-steps": STEPS, "learning-rate": RATE, "weight-decay": DECAY, "lr-scheduler-type": "linear", "warmup-steps": 0,
           "micro-batch-tokens": 120, "max-length": 60}
LORA = {"method": "lora", "lora-r": 4, "lora-alpha": 8, "lora-dropout": 0}
CASES = [
    ("lora", "bert", LORA), ("lora", "llama", LORA),
    ("prompt", "llama", {"method": "prompt_tuning", "num-virtual-tokens": 3}),
    ("prefix", "llama", {"method": "prefix_tuning", "num-virtual-tokens": 4}),
]


def begun(name, options, out):
    """An adapter as it is before its first step."""
    options = options | {"learning-rate": 0, "max-steps": 1}
    subprocess.run([ROOT / "build/kungfu", "tune", GOLDEN / name, "--data", GOLDEN / "classes.jsonl", "--out", out, "--objective",
                    "classification", "--quiet", *(f"--{k}={v}" for k, v in options.items())], check=True)


def load(what, name, folder):
    base = AutoModelForSequenceClassification.from_pretrained(GOLDEN / name, dtype=torch.float32, num_labels=len(NAMES),
                                                              attn_implementation="eager")
    base.config.pad_token_id = None
    prompt = "prompt" in what or "prefix" in what
    m = PeftModel.from_pretrained(base, folder, is_trainable=not prompt).eval()
    for n, p in m.named_parameters():  # PEFT opens no soft prompt to go on with
        p.requires_grad |= prompt and ("prompt_encoder" in n or "modules_to_save" in n)
    last = ("score.modules_to_save.default.weight", "classifier.modules_to_save.default.weight")
    torch.nn.init.zeros_(next(p for n, p in m.named_parameters() if n.endswith(last)))
    return m


def logits(m, ids):
    """PEFT's own forward finds no past_key_values in the signatures of transformers 5, where a prefix is handed over."""
    ids = torch.tensor([ids])
    if m.peft_config["default"].peft_type != "PREFIX_TUNING":
        return m(input_ids=ids).logits
    past = m.get_prompt(1)
    mask = torch.ones(1, m.peft_config["default"].num_virtual_tokens + ids.shape[1], dtype=torch.long)
    return m.base_model(input_ids=ids, past_key_values=past, attention_mask=mask).logits


def train(m, docs):
    named = [(n, p) for n, p in m.named_parameters() if p.requires_grad]
    opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                             {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}],
                            lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    told = {"loss": [], "grad_norm": [], "accuracy": []}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        z = torch.cat([logits(m, ids) for ids in docs])
        loss = torch.nn.functional.cross_entropy(z, WANTED)
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named if p.grad is not None], 1.0)
        opt.step()
        for k, v in {"loss": loss, "grad_norm": norm, "accuracy": (z.argmax(-1) == WANTED).double().mean()}.items():
            told[k].append(float(v))
    return [n for n, _ in named], told


for what, name, own in CASES:
    if sys.argv[1:] and f"{what}-{name}" not in sys.argv[1:]:
        continue
    options = own | OPTIONS
    tok = AutoTokenizer.from_pretrained(GOLDEN / name)
    docs = [tok(r["text"])["input_ids"] for r in ROWS]
    with tempfile.TemporaryDirectory() as tmp, exact.float64():
        begun(name, options, f"{tmp}/run")
        trained, told = train(load(what, name, f"{tmp}/run").double(), docs)
    print(what, name, len(trained), [n for n in trained if "lora" not in n], [round(x, 5) for x in told["loss"]])
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()},
              GOLDEN / f"values/objective_classification_{what}_{name}.safetensors",
              {"objective": "classification", "model": name, "rows": "classes.jsonl", "options": " ".join(f"{k}={v}" for k, v in options.items()),
               "reference": "PEFT's adapter of a class of sequences in float64"})
