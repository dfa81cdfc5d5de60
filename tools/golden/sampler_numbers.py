#!/usr/bin/env python3
"""Makes test/golden/values/sampler.json: distributions after transformers' own processors and warpers, for test_sampler.

    python tools/golden/sampler_numbers.py [test/golden/values/sampler.json]

needs torch and transformers. A case is: what was asked for, logits, tokens seen, and the probability of every token, all in float64. Frequency
and presence penalties, which transformers lacks, are OpenAI's formula in numpy; "llama.cpp" order applies the same warpers in
that program's order. Near ties at a cut would make a case depend on rounding: they are looked for, and the numbers drawn again."""
import json
import sys

import numpy as np
import torch
from transformers.generation.logits_process import (MinPLogitsWarper, RepetitionPenaltyLogitsProcessor, SequenceBiasLogitsProcessor,
                                                    TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper, TypicalLogitsWarper)

V = 37
CASES = [
    {}, {"temperature": 0.6}, {"temperature": 1.8}, {"top_k": 1}, {"top_k": 7}, {"top_p": 0.1}, {"top_p": 0.75}, {"top_p": 0.999},
    {"min_p": 0.05}, {"min_p": 0.9}, {"typical_p": 0.2}, {"typical_p": 0.7}, {"typical_p": 0.95},
    {"repetition_penalty": 1.3}, {"repetition_penalty": 0.8}, {"repetition_penalty": 2.0, "repeat_last_n": 5},
    {"frequency_penalty": 0.7}, {"presence_penalty": 1.1}, {"frequency_penalty": -0.4, "presence_penalty": 0.3, "repeat_last_n": 9},
    {"frequency_penalty": 0.5, "repeat_last_n": 0}, {"logit_bias": {"3": 5.0, "8": -2.5, "11": -100.0}},
    {"repetition_penalty": 1.2, "frequency_penalty": 0.2, "presence_penalty": 0.6, "logit_bias": {"0": 1.5}},
    {"temperature": 0.7, "top_k": 20, "top_p": 0.8, "min_p": 0.05, "typical_p": 0.9, "repetition_penalty": 1.1, "logit_bias": {"4": 2.0}},
    {"temperature": 1.5, "top_k": 12, "top_p": 0.9, "typical_p": 0.8}, {"temperature": 2.0, "top_p": 0.7, "min_p": 0.1},
]


def penalized(case, seen, scores):
    last = case.get("repeat_last_n", -1)
    window = seen if last < 0 else seen[len(seen) - min(last, len(seen)):]
    if case.get("logit_bias"):
        bias = SequenceBiasLogitsProcessor({(int(k),): v for k, v in case["logit_bias"].items()})
        scores = bias(torch.tensor([seen]), scores)
    if "repetition_penalty" in case and window:
        scores = RepetitionPenaltyLogitsProcessor(case["repetition_penalty"])(torch.tensor([window]), scores)
    count = np.bincount(np.array(window, dtype=int), minlength=V)
    lower = count * case.get("frequency_penalty", 0) + (count > 0) * case.get("presence_penalty", 0)
    return scores - torch.tensor(lower)[None, :]


def warped(case, scores):
    steps = {
        "temperature": lambda: TemperatureLogitsWarper(case["temperature"]), "top_k": lambda: TopKLogitsWarper(case["top_k"]),
        "top_p": lambda: TopPLogitsWarper(case["top_p"]), "min_p": lambda: MinPLogitsWarper(case["min_p"]),
        "typical_p": lambda: TypicalLogitsWarper(case["typical_p"]),
    }
    order = ["temperature", "top_k", "top_p", "min_p", "typical_p"]
    if case["order"] == "llama.cpp":
        order = ["top_k", "typical_p", "top_p", "min_p", "temperature"]
    for name in order:
        if name in case:
            scores = steps[name]()(None, scores)
    return torch.softmax(scores, -1)[0].numpy()


def made(case, rng):
    """A case whose result does not change when its numbers do a little."""
    while True:
        logits = np.round(rng.normal(0, 2.5, V), 3).astype(np.float32)
        seen = [int(x) for x in rng.integers(0, V, 14)]
        results = []
        for shift in range(4):
            noise = rng.normal(0, 1e-5, V) if shift else 0
            scores = torch.tensor(logits.astype(np.float64) + noise)[None, :]
            results.append(warped(case, penalized(case, seen, scores)))
        if all(((r > 0) == (results[0] > 0)).all() for r in results) and len(set(logits.tolist())) == V:
            return {**case, "logits": [float(x) for x in logits], "seen": seen, "p": [float(x) for x in results[0]]}


def main():
    rng = np.random.default_rng(11)
    cases = [made({**c, "order": o}, rng) for c in CASES for o in ("transformers", "llama.cpp") if o == "transformers" or len(c) > 1]
    out = sys.argv[1] if len(sys.argv) > 1 else "test/golden/values/sampler.json"
    with open(out, "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
    print(f"{len(cases)} cases")


main()
