#!/usr/bin/env python3
"""kungfu search beside Optuna with PEFT: the same space, rows and number of trials, TPE, successive halving with a third on each rung.

    bench/search_optuna.py PROGRAM MODEL.gguf TRAIN.jsonl EVAL.jsonl TEST.jsonl OUT [--trials N] [--threads N] [--only kungfu|optuna]

Rows are query,choices,gold (tools/demo-data makes some). Both choose by accuracy on EVAL and say what the winner comes to on TEST, with
standard errors. Either side goes on where it was stopped: kungfu by resume, Optuna by its own storage (a trial that was cut off is run again); the
seconds of all processes are counted. One JSON line at the end. The peers are those of bench/run, and optuna."""
import argparse
import json
import math
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

RATES = {"lora": 2e-4, "loha": 3e-3, "ia3": 3e-3}  # kungfu's own, times which both sides draw
SPACE = """method: [lora, loha, ia3]
lora_r: [4, 16]
learning_rate: {min: 0.3, max: 30, log: true, scale: method}
num_train_epochs: [1, 2]
"""
BATCH = 8


def error(share, n):
    return math.sqrt(share * (1 - share) / max(1, n - 1))


def kungfu(a):
    out = os.path.join(a.out, "kungfu")
    space = os.path.join(a.out, "space.yaml")
    with open(space, "w") as f:
        f.write(SPACE)
    if os.path.exists(os.path.join(out, "study.json")):
        words = ["resume", out]
    else:
        words = ["search", a.model, "--data", a.train, "--eval-data", a.eval, "--test-data", a.test, "--space", space, "--trials", str(a.trials), "--max-length", "512",
                 "--per-device-train-batch-size", str(BATCH), "--compute", "f32", "--out", out]
    said = subprocess.run([a.program, *words, "--json", "--threads", str(a.threads)], check=True, stdout=subprocess.PIPE, text=True).stdout
    s = json.loads(said.splitlines()[-1])
    with open(os.path.join(out, "study.json")) as f:
        seconds = sum(p["gas"]["seconds"] for p in json.load(f)["processes"] if "gas" in p and p["gas"].get("seconds"))
    test = s["test"]
    return {"best": s["score"], "best_stderr": error(s["score"], s["selection_rows"]), "test": test["score"], "test_stderr": test["stderr"],
            "values": s["best_values"], "trials": s["trials"], "seconds": seconds}


def adapter(method, r):
    import peft
    if method == "lora":
        return peft.LoraConfig(task_type="CAUSAL_LM", r=r, lora_alpha=16, target_modules="all-linear")
    if method == "loha":
        return peft.LoHaConfig(task_type="CAUSAL_LM", r=r, alpha=8, target_modules="all-linear")
    return peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])


def optuna_side(a):
    import optuna
    import peft
    import random
    import torch
    import peer
    import peft_demo

    base, tokenizer = peer.load(a.model, a.out, a.threads)
    rows, evals, tests = (peft_demo.read(p) for p in (a.train, a.eval, a.test))
    docs = peft_demo.documents(tokenizer, rows)
    kept = os.path.join(a.out, "optuna.pt")

    def run(trial):
        begin = time.perf_counter()
        method = trial.suggest_categorical("method", list(RATES))
        r = trial.suggest_categorical("r", [4, 16]) if method != "ia3" else 0
        rate = RATES[method] * trial.suggest_float("rate", 0.3, 30, log=True)
        epochs = trial.suggest_categorical("epochs", [1, 2])
        torch.manual_seed(42)
        model = peft.get_peft_model(base, adapter(method, r))
        params = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(params, lr=rate, weight_decay=0.0)
        per_epoch = math.ceil(len(docs) / BATCH)
        steps = per_epoch * epochs
        warm = math.ceil(0.03 * steps)
        at = [max(2, round(per_epoch / 9)), max(3, round(per_epoch / 3))]
        acc = 0
        try:
            for s in range(steps):
                if s % per_epoch == 0:
                    order = list(docs)
                    random.Random(42 + s).shuffle(order)
                optimizer.param_groups[0]["lr"] = rate * (s / warm if s < warm else (steps - s) / (steps - warm))
                model.train()
                first = s % per_epoch * BATCH
                loss = model(**peft_demo.collate(order[first:first + BATCH]), use_cache=False).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(params, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                if s + 1 in at or s + 1 == steps:
                    acc = peft_demo.accuracy(model, tokenizer, evals)
                    print(f"trial {trial.number} step {s + 1}/{steps}: {acc:.4f}", file=sys.stderr)
                if s + 1 in at:
                    trial.report(acc, 1 + at.index(s + 1))
                    if trial.should_prune():
                        raise optuna.TrialPruned
            done = [t.value for t in trial.study.trials if t.value is not None and t.state == optuna.trial.TrialState.COMPLETE]
            if not done or acc > max(done):
                torch.save({k: v for k, v in peft.get_peft_model_state_dict(model).items()}, kept + ".new")
                os.rename(kept + ".new", kept)
            return acc
        finally:
            trial.set_user_attr("seconds", time.perf_counter() - begin)
            model.unload()

    sampler = optuna.samplers.TPESampler(seed=42)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    study = optuna.create_study(storage=f"sqlite:///{a.out}/optuna.db", study_name="search", direction="maximize", sampler=sampler, pruner=pruner, load_if_exists=True)
    over = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    while len(study.get_trials(states=over)) < a.trials:
        study.optimize(run, n_trials=1)
    best = study.best_trial
    model = peft.get_peft_model(base, adapter(best.params["method"], best.params.get("r", 0)))
    peft.set_peft_model_state_dict(model, torch.load(kept))
    test = peft_demo.accuracy(model, tokenizer, tests)
    seconds = sum(t.user_attrs.get("seconds", 0) for t in study.trials)
    return {"best": best.value, "best_stderr": error(best.value, len(evals)), "test": test, "test_stderr": error(test, len(tests)), "values": best.params,
            "trials": len(study.get_trials(states=over)), "seconds": seconds, "versions": peer.versions() | {"optuna": optuna.__version__}}


def main():
    p = argparse.ArgumentParser(usage=__doc__.split("\n")[2].strip(), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "train", "eval", "test", "out"):
        p.add_argument(name)
    p.add_argument("--trials", type=int, default=12)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--only", choices=["kungfu", "optuna"])
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    result = {}
    if a.only != "optuna":
        result["kungfu"] = kungfu(a)
    if a.only != "kungfu":
        result["optuna"] = optuna_side(a)
    if len(result) == 2:
        result["ratio"] = result["optuna"]["seconds"] / result["kungfu"]["seconds"]
    print(json.dumps(result))


if __name__ == "__main__":
    main()
