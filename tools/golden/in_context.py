"""Golden values of in-context learning: prompts by lm-eval 0.4.13, draws by Python's random, BM25 by bm25s (method
lucene, its tokenizer and stop words), calibration by the papers' formulas in NumPy.

usage: in_context.py test/golden

Writes in_context/sections.jsonl (choices that all rows share), sums.jsonl and more_sums.jsonl (prompt, completion) and
values.json. The rows are made here; some prompts end with a space, which lm-eval's delimiter follows."""

import json
import os
import random
import subprocess
import sys

import bm25s
import numpy as np

SECTIONS = ["games", "editors", "mail", "science"]
WORDS = {
    "games": ["a puzzle with falling blocks", "chess for two", "a card game", "dungeons and dragons’ dice"],
    "editors": ["edits text in a terminal", "an editor of pictures", "writes hex", "a modal editor"],
    "mail": ["reads mail", "sends mail to lists", "filters spam", "a server of IMAP mail"],
    "science": ["folds proteins", "plots functions of science", "solves equations", "a catalogue of stars"],
}


def rows_of_sections():
    rows = []
    for i in range(16):
        section = SECTIONS[(3 * i + i // 4) % 4]
        text = WORDS[section][i // 4 % 4]
        rows.append({"query": f"Package: p{i}\nDescription: {text}\nSection:", "choices": SECTIONS,
                     "gold": SECTIONS.index(section)})
    return rows


def rows_of_sums(first, n):
    rows = []
    for i in range(first, first + n):
        a, b = 7 * i % 23, 5 * i % 19
        rows.append({"prompt": f"Question: what is {a} + {b}?\nAnswer:" + (" " if i % 7 == 3 else ""),
                     "completion": str(a + b)})
    return rows


def prompts(folder, examples, rows, k, seed, sampler, description=""):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fewshot_lm_eval.py")
    out = subprocess.run([sys.executable, script, os.path.join(folder, examples), os.path.join(folder, rows), str(k),
                          str(seed), sampler, description], check=True, capture_output=True, text=True).stdout
    return {"examples": examples, "rows": rows, "k": k, "seed": seed, "select":
            {"default": "random-each", "first_n": "first"}[sampler], "instruction": description,
            "prompts": [json.loads(line) for line in out.splitlines()]}


def turns(folder, name, k, description):
    """What lm-eval hands to a chat template (--fewshot_as_multiturn): the messages of each row."""
    from fewshot_lm_eval import task_of
    path = os.path.join(folder, name)
    task = task_of(path, path, k, 1234, "first_n", description)
    return {"rows": name, "k": k, "instruction": description, "messages": [
        task.fewshot_context(doc, num_fewshot=k, apply_chat_template=True, fewshot_as_multiturn=True,
                             chat_template=lambda messages, add_generation_prompt: messages)
        for doc in task.eval_docs]}


def draws():
    out = []
    for seed, n, k in [(1234, 10, 3), (1234, 400, 5), (0, 85, 6), (7, 86, 6), (2**33 + 5, 1000, 40), (42, 21, 5),
                       (42, 22, 5)]:
        rnd = random.Random(seed)
        out.append({"seed": seed, "n": n, "k": k, "first": rnd.sample(range(n), k), "second": rnd.sample(range(n), k)})
    return out


def bm25(texts):
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75, dtype="float64")
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    queries = ["sends mail to the editors", "a puzzle: p3 p3 and stars", "Über dragons’ dice", "nothing known"]
    scores = []
    for q in queries:
        words = bm25s.tokenize([q], stopwords="en", return_ids=False, show_progress=False)[0]
        known = [w for w in words if w in index.vocab_dict]
        scores.append([float(s) for s in index.get_scores(known)] if known else [0.0] * len(texts))
    return {"queries": queries, "scores": scores}


def calibration():
    rng = np.random.default_rng(5)
    logprob = rng.normal(-6, 2, (7, 4)) + np.array([2.0, 0.0, -1.0, 0.5])
    free = rng.normal(-6, 1, (3, 4)) + np.array([2.0, 0.0, -1.0, 0.5])

    def labels(x):
        p = np.exp(x)
        return p / p.sum(-1, keepdims=True)

    p, cf = labels(logprob), labels(free)
    p_cf = cf.mean(0) / cf.mean(0).sum()
    contextual = p @ np.linalg.inv(np.diag(p_cf)).T + 0          # q = W p + b
    prior = p.mean(0)
    batch = np.log(p) - np.log(prior)
    return {"logprob": logprob.tolist(), "free": free.tolist(),
            "contextual": {"prior": p_cf.tolist(), "answer": contextual.argmax(-1).tolist(),
                           "q": (contextual / contextual.sum(-1, keepdims=True)).tolist()},
            "batch": {"prior": prior.tolist(), "answer": batch.argmax(-1).tolist(),
                      "q": labels(batch).tolist()}}


def main():
    folder = os.path.join(sys.argv[1], "in_context")
    os.makedirs(folder, exist_ok=True)
    sections = rows_of_sections()
    for name, rows in [("sections", sections), ("sums", rows_of_sums(0, 30)), ("more_sums", rows_of_sums(40, 6))]:
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False) + "\n")
    values = {
        "prompts": [prompts(folder, "sections.jsonl", "sections.jsonl", 3, 1234, "default"),
                    prompts(folder, "sections.jsonl", "sections.jsonl", 2, 5, "first_n", "Say the section.\n\n"),
                    prompts(folder, "sums.jsonl", "sums.jsonl", 4, 1234, "default", "Add.\n\n"),
                    prompts(folder, "sums.jsonl", "more_sums.jsonl", 6, 99, "default")],
        "turns": [turns(folder, "sections.jsonl", 2, "Say the section."), turns(folder, "sums.jsonl", 1, "")],
        "draws": draws(),
        "bm25": bm25([r["query"] for r in sections]),
        "calibration": calibration(),
    }
    with open(os.path.join(folder, "values.json"), "w", encoding="utf-8") as f:
        json.dump(values, f, ensure_ascii=False)
        f.write("\n")


if __name__ == "__main__":
    main()
