"""Golden values of objective_ppo.c: the tiny Llama, all its weights and a row of values over its final norm, in float64, by TRL's PPO formulas
(kl, masked_whiten, GAE, both clips) on answers that are fixed: those that kungfu draws, which a checkpoint holds. TRL 1.x has PPOTrainer no more, so its
formulas are written out; means are over the tokens of the step, and the worth is on the last token, as objective_ppo.c says.

    python tools/golden/objective_ppo.py [build/kungfu]
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import exact
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "test/golden"
STEPS, RATE, DECAY = 10, 5e-4, 0.01
O = {"kl-coef": 0.1, "kl-estimator": "k3", "cliprange": 0.1, "cliprange-value": 0.05, "vf-coef": 0.3, "gamma": 0.95, "lam": 0.9, "missing-eos-penalty": 0.5,
     "whiten-rewards": "true", "temperature": 0.8}
PROMPTS = ["Which section has games?", "Is the plan a promise?", "How many rows in 2026?", "Say it:"]


def options(steps):
    return (f"method=full per-device-train-batch-size={len(PROMPTS)} max-steps={steps} num-ppo-epochs={STEPS} learning-rate={RATE} weight-decay={DECAY} "
            "warmup-steps=0 micro-batch-tokens=200 max-length=60 max-completion-length=6 reward=regex reward-regex=[aeiou] doctor=off "
            + " ".join(f"{k}={v}" for k, v in O.items()))


def drawn(program, rows):
    """The answers of the first draw, as a checkpoint between two steps on them has them."""
    with tempfile.TemporaryDirectory() as tmp:
        words = [f"--{x.split('=')[0]}" if x.endswith("=true") else f"--{x.replace('=', ' ', 1)}" for x in options(STEPS).split(" ")]
        words = [y for x in words for y in x.split(" ")]
        subprocess.run([program, "tune", str(GOLDEN / "llama"), "--data", str(rows), "--out", tmp + "/run", "--objective", "ppo", "--save-steps", "1",
                        "--save-total-limit", "20", "--no-forgetting", "--quiet"] + words, check=True)
        return json.loads(pathlib.Path(tmp + "/run/checkpoint-1/answers.json").read_text())["answers"]


def whiten(x, keep_mean):
    """masked_whiten of all tokens: Bessel's variance."""
    out = (x - x.mean()) * torch.rsqrt(x.var(unbiased=True) + 1e-8)
    return out + x.mean() if keep_mean else out


def parts(model, head, docs):
    """log-probabilities and values of the answers' tokens, one after the other."""
    logp, value = [], []
    for ids, first in docs:
        z = exact.logits_of(model, ids)[first - 1:-1] / O["temperature"]
        logp.append(torch.log_softmax(z, -1).gather(1, torch.tensor(ids[first:])[:, None])[:, 0])
        value.append(exact.states_of(model, ids)[first - 1:-1] @ head)
    return torch.cat(logp), torch.cat(value)


def estimate(answers, lengths, old, values):
    """Rewards, advantages, returns; the reference is the model at the start, which is the policy of the draw."""
    x = old - old
    k = torch.exp(-x) - 1 + x if O["kl-estimator"] == "k3" else x
    reward, at = -O["kl-coef"] * k, 0
    for a, n in zip(answers, lengths):
        reward[at + n - 1] += a["reward"] - (0 if a["ended"] else O["missing-eos-penalty"])
        at += n
    reward = whiten(reward, True)
    advantage, at = torch.zeros_like(reward), 0
    for n in lengths:
        last = 0.0
        for t in reversed(range(n)):
            after = values[at + t + 1] if t + 1 < n else 0.0
            last = reward[at + t] + O["gamma"] * after - values[at + t] + O["gamma"] * O["lam"] * last
            advantage[at + t] = last
        at += n
    return whiten(advantage, False), advantage + values


def main():
    tok, rows = AutoTokenizer.from_pretrained(GOLDEN / "llama"), GOLDEN / "prompts.jsonl"
    rows.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in PROMPTS))
    answers = drawn(sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build/kungfu"), rows)
    prompts = [tok(p, add_special_tokens=False)["input_ids"] for p in PROMPTS]
    docs = [(prompts[a["prompt"]] + a["ids"], len(prompts[a["prompt"]])) for a in answers]
    lengths = [len(a["ids"]) for a in answers]
    with exact.float64():
        model = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama", dtype=torch.float32).eval().double()
        head = torch.nn.Parameter(torch.zeros(model.config.hidden_size, dtype=torch.float64))
        with torch.no_grad():
            old, before = parts(model, head, docs)
            advantage, returns = estimate(answers, lengths, old, before)
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)] + [head], "weight_decay": DECAY},
                                 {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}], lr=RATE, betas=(0.9, 0.999), eps=1e-8)
        told = {}
        for step in range(STEPS):
            for g in opt.param_groups:
                g["lr"] = RATE * (STEPS - step) / STEPS
            logp, v = parts(model, head, docs)
            ratio = torch.exp(logp - old)
            policy = torch.max(-advantage * ratio, -advantage * torch.clamp(ratio, 1 - O["cliprange"], 1 + O["cliprange"]))
            clipped = torch.clamp(v, before - O["cliprange-value"], before + O["cliprange-value"])
            value = 0.5 * torch.max((v - returns) ** 2, (clipped - returns) ** 2)
            loss = policy.mean() + O["vf-coef"] * value.mean()
            opt.zero_grad()
            loss.backward()
            norm = torch.nn.utils.clip_grad_norm_([p for _, p in named] + [head], 1.0)
            opt.step()
            now = {"loss": loss, "grad_norm": norm, "loss/policy_avg": policy.mean(), "loss/value_avg": value.mean(), "val/ratio": ratio.mean(),
                   "policy/approxkl_avg": 0.5 * ((logp - old) ** 2).mean()}
            for k, x in now.items():
                told.setdefault(k, []).append(float(x.detach()))
    print({k: [round(x, 5) for x in v] for k, v in told.items()})
    meta = {"objective": "ppo", "model": "llama", "rows": "prompts.jsonl", "options": options(STEPS), "reference": "torch in float64, TRL's PPO"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / "values/objective_ppo.safetensors", meta)


main()
