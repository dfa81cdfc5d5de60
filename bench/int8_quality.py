#!/usr/bin/env python3
"""What int8 arithmetic does to a model: perplexity of the same text and accuracy on the same questions, f32 beside int8, one line a file (CSV).

    bench/int8_quality.py PROGRAM TEXT QUESTIONS.jsonl MODEL.gguf …

The difference of the loss is paired, window by window, so its error is that of the difference."""
import json
import math
import os
import subprocess
import sys


def lines(*command):
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def losses(program, model, text, compute):
    """Mean loss of each window of 512 tokens, and of all."""
    *tokens, last = lines(program, "score", model, text, "--window", "512", "--stride", "512", "--compute", compute, "--json", "--quiet")
    values = [-t["logprob"] for t in tokens if t.get("logprob") is not None]
    return [sum(values[i:i + 511]) / len(values[i:i + 511]) for i in range(0, len(values), 511)], sum(values) / len(values), len(values)


def accuracy(program, model, questions, compute):
    return lines(program, "eval", model, "--data", questions, "--compute", compute, "--json", "--quiet")[-1]["acc"]


def main():
    program, text, questions, *models = sys.argv[1:]
    print("file,tokens,perplexity_f32,perplexity_int8,loss_difference,loss_difference_stderr,acc_f32,acc_int8")
    for m in models:
        (a, mean_a, n), (b, mean_b, _) = (losses(program, m, text, c) for c in ("f32", "int8"))
        d = [y - x for x, y in zip(a, b)]
        mean = sum(d) / len(d)
        error = math.sqrt(sum((x - mean) ** 2 for x in d) / (len(d) - 1) / len(d))
        acc = [accuracy(program, m, questions, c) for c in ("f32", "int8")]
        print(f"{os.path.basename(m)},{n},{math.exp(mean_a):.4f},{math.exp(mean_b):.4f},{mean_b - mean_a:.5f},{error:.5f},{acc[0]:.4f},{acc[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
