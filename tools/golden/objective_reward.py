"""Golden values of objective_reward.c: the tiny Llama and BERT with a head of one number, all of them trained, in float64,
and TRL's RewardTrainer beside them: loss and measures of ten steps, and the gradient of every weight at the first.

    python tools/golden/objective_reward.py

llama-reward and bert-reward are the two models, written by transformers; bert's texts are pairs. A file reward_* has of each
weight's gradient its norm and its product with cos 1, cos 2, …, so that each number of it counts. Ranked rows are known to no
trainer of TRL's: their reference is the sum written down here.
"""
import copy
import itertools
import json
import pathlib
import tempfile

import exact
import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY = 10, 5e-4, 0.01
PAIRS = [("Which section has games?", " games", " a longer answer", 0.5), ("Is the plan a promise?", " It is: no step takes more.", " It is not.", 0),
         ("How many rows in 2026?", " 1,024 rows", " 1,024 rows, or 7", 1.25), ("Say it:", " mail", " net", -0.25)]
RANKED = [("Which section has games?", [" games", " a longer answer", " mail", " none"], [3, 1, 1, 2]), ("Say it:", [" mail", " net"], [1, 2])]


def make(name, **more):
    torch.manual_seed(5)
    m = AutoModelForSequenceClassification.from_pretrained(GOLDEN / name, dtype=torch.float32, num_labels=1, ignore_mismatched_sizes=True, **more).eval()
    tok = AutoTokenizer.from_pretrained(GOLDEN / name)
    for n, p in m.named_parameters():
        if n.startswith(("score", "classifier")):
            torch.nn.init.normal_(p, std=0.1)
    m.config.id2label, m.config.label2id = {0: "LABEL_0"}, {"LABEL_0": 0}
    to = name.split("-")[0] + "-reward"
    m.save_pretrained(GOLDEN / to)
    tok.save_pretrained(GOLDEN / to)
    return m, tok, to


def ids_of(tok, model, prompt, answer):
    if exact.is_encoder(model):
        return tok(prompt, answer)["input_ids"]
    return tok(prompt + answer, add_special_tokens=False)["input_ids"] + [tok.eos_token_id]


def reward(model, tok, prompt, answer, types):
    x = {"input_ids": torch.tensor([ids_of(tok, model, prompt, answer)])}
    if types:
        x["token_type_ids"] = torch.tensor([tok.backend_tokenizer.encode(prompt, answer).type_ids])
    return model(**x).logits[0, 0]


def measure(groups, rewards, center):
    """Of each group (pairs of numbers of answers, margin) the mean over its pairs."""
    f = torch.nn.functional
    mean = lambda of: torch.stack([torch.stack([of(rewards[c], rewards[r], margin) for c, r in pairs]).mean() for pairs, margin in groups]).mean()
    one = torch.tensor(1.0)
    return {"loss": mean(lambda c, r, margin: -f.logsigmoid(c - r - margin) + center * (c + r) ** 2), "accuracy": mean(lambda c, r, _: one * (c > r)),
            "margin": mean(lambda c, r, _: c - r), "mean_reward": rewards.mean(), "min_reward": rewards.min(), "max_reward": rewards.max()}


def train(model, tok, answers, groups, center, types):
    named = list(model.named_parameters())
    opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                             {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}], lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    told, gradient = {}, {}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        now = measure(groups, torch.stack([reward(model, tok, *a, types) for a in answers]), center)
        opt.zero_grad()
        now["loss"].backward()
        if not step:
            gradient = {n: p.grad.double().flatten().clone() for n, p in named if p.grad is not None}
        now["grad_norm"] = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        for k, v in now.items():
            told.setdefault(k, []).append(float(v))
    return told, {n: torch.stack([g.norm(), (g * torch.cos(torch.arange(1, len(g) + 1, dtype=torch.float64))).sum()]) for n, g in gradient.items()}


def trl(model, tok, center):
    """What TRL logs of each step, in float32; BERT's types of tokens are no part of its batches, so they are all 0."""
    rows = Dataset.from_list([{"chosen_ids": ids_of(tok, model, p, c), "rejected_ids": ids_of(tok, model, p, r), "margin": float(m)} for p, c, r, m in PAIRS])
    with tempfile.TemporaryDirectory() as tmp:
        args = RewardConfig(output_dir=tmp, max_steps=STEPS, per_device_train_batch_size=len(PAIRS), learning_rate=RATE, weight_decay=DECAY, max_grad_norm=1.0,
                            lr_scheduler_type="linear", logging_steps=1, save_strategy="no", report_to=[], use_cpu=True, optim="adamw_torch", disable_tqdm=True,
                            dataloader_pin_memory=False, bf16=False, gradient_checkpointing=False, max_length=None, center_rewards_coefficient=center or None)
        t = RewardTrainer(model=copy.deepcopy(model), args=args, train_dataset=rows, processing_class=tok)
        t.train()
        return [h for h in t.state.log_history if "loss" in h]


def keep(name, rows, objective_options, model, told, gradient):
    options = (f"method=full per-device-train-batch-size={8} max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} "
               f"warmup-steps=0 micro-batch-tokens=200 max-length=100 {objective_options}")
    meta = {"objective": "reward", "model": model, "rows": rows, "options": options, "reference": f"transformers in float64, TRL's RewardTrainer ({name})"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / f"values/objective_reward-{name}.safetensors", meta)
    meta["options"] = objective_options
    save_file({k: v.float() for k, v in gradient.items()}, GOLDEN / f"values/gradient_reward-{name}.safetensors", meta)


def write(file, rows):
    with open(GOLDEN / file, "w", encoding="utf-8") as f:
        for r in rows:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")


write("reward_pairs.jsonl", [{"prompt": p, "chosen": c, "rejected": r, "margin": m} for p, c, r, m in PAIRS])
write("reward_ranked.jsonl", [{"prompt": p, "answers": a, "scores": s} for p, a, s in RANKED])
for source, center, more in (("llama", 0.1, {}), ("bert-classes", 0.1, {"problem_type": "regression"})):
    model, tok, name = make(source, **more)
    answers = [(p, a) for p, c, r, _ in PAIRS for a in (c, r)]
    groups = [([(2 * i, 2 * i + 1)], m) for i, (_, _, _, m) in enumerate(PAIRS)]
    with exact.float64():
        told, gradient = train(copy.deepcopy(model).double(), tok, answers, groups, center, exact.is_encoder(model))
        compared = train(copy.deepcopy(model).double(), tok, answers, groups, center, False)[0]
    logged = trl(model, tok, center)
    for k, v in compared.items():
        off = max(abs(a - h[k]) / max(1, abs(a)) for a, h in zip(v, logged))
        print(name, k, [round(x, 5) for x in v], "TRL off by", off)
        assert off < 2e-5, k
    keep(source.split("-")[0], "reward_pairs.jsonl", f"center-rewards-coefficient={center}", name, told, gradient)
model, tok, name = make("llama")
answers, groups = [], []
for p, texts, scores in RANKED:
    groups.append(([(len(answers) + i, len(answers) + k) for i, k in itertools.permutations(range(len(texts)), 2) if scores[i] > scores[k]], 0))
    answers += [(p, t) for t in texts]
with exact.float64():
    told, gradient = train(copy.deepcopy(model).double(), tok, answers, groups, 0.1, False)
keep("ranked", "reward_ranked.jsonl", "center-rewards-coefficient=0.1", name, told, gradient)
