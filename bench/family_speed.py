#!/usr/bin/env python3
"""kungfu beside llama.cpp and PEFT on a model of each family's shape, of about 100 M random numbers: a prompt, single tokens, LoRA steps.

    family_speed.py KUNGFU [--kept FILE] [--only prefill,decode,train,int8,rows,rows_int8] [--rows ROWS.jsonl] [--threads N] [--turns N] [FAMILY …]

Each family's shape is made by transformers. Prompts (512 tokens) and single tokens (64): one file of Q8_0, beside llama.cpp. Steps: the folder in
float32, two documents of 512 tokens, LoRA of rank 8 on all linears (of experts too), beside PyTorch with PEFT; int8: the same steps on the file of Q8_0 in int8,
as tune does by itself, beside the same of PEFT, which has no such file to train on; rows, rows_int8: the same two with rows of unlike lengths
(ROWS: `instruction`, `response`; those that fit in 512 tokens, 32 of them, 8 a step), which PEFT pads to the longest of a step. Both programs run in turns, three if nothing
is said, and medians are compared: a line a family, tokens a second and kungfu's multiple. Every turn is written to FILE (family_speed.json) at
once: who is stopped goes on there, and what is whole is only told; a file of another program, machine or number of threads is refused. Ends with 1 where a
prompt is below 1.3, decoding below 1 or training, of either kind, below 1.8 (2 with AVX-512). needs transformers, peft, llama_cpp; figures are of a machine
that does nothing else."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import harness
import peer

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = f"{HERE}/../test/golden"
WIDE = dict(hidden_size=768, intermediate_size=2048, num_hidden_layers=12, num_attention_heads=12, num_key_value_heads=4,
            max_position_embeddings=2048, vocab_size=301)
FAMILIES = {
    "llama": WIDE,
    "mixtral": WIDE | dict(hidden_size=512, intermediate_size=1024, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=4,
                           num_local_experts=8, num_experts_per_tok=2),
    "qwen3": WIDE | dict(head_dim=64),
    "gemma3_text": WIDE | dict(head_dim=64, query_pre_attn_scalar=64, sliding_window=512),
    "phi3": WIDE,
    "olmo2": WIDE,
    "gpt_neox": dict(WIDE, num_key_value_heads=None),
    "mistral": WIDE | dict(sliding_window=None),
    "qwen2": WIDE,
    "smollm3": WIDE,
    "gemma2": WIDE | dict(head_dim=64, query_pre_attn_scalar=64, sliding_window=512),
    "granite": WIDE,
    "stablelm": WIDE,
}
LENGTH, DOCUMENTS, STEPS = 512, 2, 3
ROWS, ROWS_A_STEP = 32, 8
AVX512 = "avx512f" in open("/proc/cpuinfo").read()
LEAST = {"prefill": 1.3, "decode": 1.0} | dict.fromkeys(("train", "int8", "rows", "rows_int8"), 2.0 if AVX512 else 1.8)


def make(family, folder):
    """The golden tokenizer's vocabulary, so that the matrices of the blocks are what is measured."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoTokenizer
    torch.manual_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(f"{GOLDEN}/llama")
    options = {k: v for k, v in FAMILIES[family].items() if v is not None}
    ids = dict(bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    model = AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**options, **ids), dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(p.numel() for p in model.parameters())


def rows_of(path, folder):
    """Prompts and completions that fit."""
    from transformers import AutoTokenizer
    tokenizer, out = AutoTokenizer.from_pretrained(folder), []
    with open(path, encoding="utf-8") as f:
        for r in map(json.loads, f):
            row = {"prompt": r["instruction"] + "\n", "completion": r["response"]}
            if len(tokenizer(row["prompt"] + row["completion"])["input_ids"]) < LENGTH:
                out.append(row)
            if len(out) == ROWS:
                return out
    sys.exit(f"{path}: {len(out)} rows that fit in {LENGTH} tokens, {ROWS} were wanted")


def equal_documents(model, folder):
    import torch
    batch = torch.randint(3, model.config.vocab_size, (DOCUMENTS, LENGTH), generator=torch.Generator().manual_seed(1))
    return [({"input_ids": batch, "labels": batch}, LENGTH * DOCUMENTS)] * (1 + STEPS)


def padded_rows(path, folder):
    """Batches as a collator makes them, the first once more before them, and their tokens without padding."""
    import torch
    from transformers import AutoTokenizer
    tokenizer, batches = AutoTokenizer.from_pretrained(folder), []
    with open(path, encoding="utf-8") as f:
        rows = list(map(json.loads, f))
    for at in range(0, len(rows), ROWS_A_STEP):
        some = rows[at:at + ROWS_A_STEP]
        ids = [tokenizer(r["prompt"] + r["completion"])["input_ids"] + [tokenizer.eos_token_id] for r in some]
        asked = [len(tokenizer(r["prompt"])["input_ids"]) for r in some]
        n = max(map(len, ids))
        batch = {"input_ids": [x + [0] * (n - len(x)) for x in ids], "attention_mask": [[1] * len(x) + [0] * (n - len(x)) for x in ids],
                 "labels": [[-100] * k + x[k:] + [-100] * (n - len(x)) for x, k in zip(ids, asked)]}
        batches.append(({k: torch.tensor(v) for k, v in batch.items()}, sum(map(len, ids))))
    return batches[:1] + batches


def step(folder, threads, rows=None):
    """PEFT's steps, in a process of their own: one to warm up, then some."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(threads)
    model = peer.with_lora(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)).train()
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=2e-4, weight_decay=0.0, fused=True)
    batches = padded_rows(rows, folder) if rows else equal_documents(model, folder)
    speeds = []
    for batch, tokens in batches:
        begin = time.perf_counter()
        model(**batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        speeds.append((tokens, time.perf_counter() - begin))
    tokens, seconds = zip(*speeds[1:])
    print(json.dumps({"value": sum(tokens) / sum(seconds) if rows else LENGTH * DOCUMENTS / statistics.median(seconds)}))


def last_json(*words):
    out = subprocess.run([str(w) for w in words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def tuned(o, model, compute, rows):
    """Tokens a second of one time through the rows, one step before it left out."""
    with tempfile.TemporaryDirectory() as tmp:
        words = [o.program, "tune", model, "--data", rows, "--out", f"{tmp}/run", "--lora-r", 8, "--lora-alpha", 16, "--per-device-train-batch-size", ROWS_A_STEP,
                 "--max-length", LENGTH, "--max-steps", ROWS // ROWS_A_STEP + 1, "--compute", compute, "--logging-steps", 1, "--no-forgetting", "--threads",
                 o.threads, "--json", "--quiet", "--ledger", "off"]
        out = subprocess.run([str(w) for w in words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    steps = [x for x in map(json.loads, out.strip().splitlines()) if "step" in x and "loss" in x]
    tokens = [x["num_tokens"] - before["num_tokens"] for before, x in zip(steps, steps[1:])]
    return sum(tokens) / sum(n / x["tokens_per_second"] for n, x in zip(tokens, steps[1:]))


def ours(o, what, folder, gguf):
    if what in ("rows", "rows_int8"):
        return tuned(o, folder if what == "rows" else gguf, "f32" if what == "rows" else "int8", f"{os.path.dirname(gguf)}/rows.jsonl")
    steps = {"train": (folder, "--train", "lora", "--compute", "f32"), "int8": (gguf, "--train", "lora", "--compute", "int8")}
    how = steps.get(what, (gguf, f"--{what}", 512 if what == "prefill" else 64))
    said = last_json(o.program, "bench", *how, "--repetitions", STEPS, "--threads", o.threads, "--json", "--quiet", "--ledger", "off")
    return said["train_tokens_per_second" if what in steps else f"{what}_tokens_per_second"]


def theirs(o, what, folder, gguf):
    if what in ("train", "int8"):
        return last_json(sys.executable, __file__, "step", folder, o.threads)["value"]
    if what in ("rows", "rows_int8"):
        return last_json(sys.executable, __file__, "step", folder, o.threads, f"{os.path.dirname(gguf)}/rows.jsonl")["value"]
    return last_json(sys.executable, f"{HERE}/llama_speed.py", what, gguf, o.threads, 512 if what == "prefill" else 64, STEPS)["value"]


def read_kept(o):
    version = subprocess.run([o.program, "--version"], capture_output=True, text=True).stdout.strip()
    about = {"program": version, "machine": harness.processor(), "threads": o.threads}
    if not os.path.exists(o.kept):
        return {"about": about, "families": {}}
    with open(o.kept, encoding="utf-8") as f:
        kept = json.load(f)
    if kept["about"] != about:
        sys.exit(f"{o.kept}: of {kept['about']}, now it is {about}; --kept says another file")
    return kept


def keep(o, kept):
    with open(o.kept + ".new", "w", encoding="utf-8") as f:
        json.dump(kept, f, indent=1)
    os.replace(o.kept + ".new", o.kept)


def measure(o, family, kept):
    """The turns that are not there yet."""
    done = kept["families"].setdefault(family, {})
    if all(len(done.get(what, [])) >= o.turns for what in o.only):
        return done
    with tempfile.TemporaryDirectory() as tmp:
        folder, gguf = f"{tmp}/folder", f"{tmp}/m.gguf"
        done["parameters"] = make(family, folder)
        subprocess.run([o.program, "convert", folder, "--out", gguf, "--dtype", "q8_0", "--quiet", "--ledger", "off"], check=True,
                       stdout=subprocess.DEVNULL)
        if o.rows:
            with open(f"{tmp}/rows.jsonl", "w", encoding="utf-8") as f:
                f.writelines(json.dumps(r) + "\n" for r in rows_of(o.rows, folder))
        for what in o.only:
            while len(done.setdefault(what, [])) < o.turns:
                done[what].append((ours(o, what, folder, gguf), theirs(o, what, folder, gguf)))
                keep(o, kept)
    return done


def main():
    if sys.argv[1:2] == ["step"]:
        return step(sys.argv[2], int(sys.argv[3]), *sys.argv[4:5])
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("families", nargs="*")
    p.add_argument("--kept", default="family_speed.json")
    p.add_argument("--only", default="prefill,decode,train,int8", type=lambda text: text.split(","))
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--turns", type=int, default=3)
    p.add_argument("--rows", default="", help="rows with `instruction` and `response`")
    o, slow = p.parse_intermixed_args(), False
    if not o.rows and any(what.startswith("rows") for what in o.only):
        p.error("rows and rows_int8 want --rows ROWS.jsonl")
    kept = read_kept(o)
    for family in o.families or FAMILIES:
        done = measure(o, family, kept)
        line = f"{family:12} {done['parameters'] / 1e6:5.0f} M"
        for what in o.only:
            a, b = (statistics.median(x) for x in zip(*done[what][:o.turns]))
            slow |= a < LEAST[what] * b
            line += f"   {what} {a:6.0f} {b:6.0f} {a / b:5.2f}x"
        print(line, flush=True)
    return slow


if __name__ == "__main__":
    sys.exit(main())
