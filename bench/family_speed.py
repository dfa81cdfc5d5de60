#!/usr/bin/env python3
"""kungfu beside llama.cpp and PEFT on a model of each family's shape, of about 100 M random numbers: a prompt, single tokens, LoRA steps.

    family_speed.py KUNGFU [--kept FILE] [--only prefill,decode,train,int8] [--threads N] [--turns N] [FAMILY …]

Each family's shape is made by transformers. Prompts (512 tokens) and single tokens (64): one file of Q8_0, beside llama.cpp. Steps: the folder in
float32, two documents of 512 tokens, LoRA of rank 8 on all linears (of experts too), beside PyTorch with PEFT; int8: the same steps on the file of Q8_0 in int8,
as tune does by itself, beside the same of PEFT, which has no such file to train on. Both programs run in turns, three if nothing
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
AVX512 = "avx512f" in open("/proc/cpuinfo").read()
LEAST = {"prefill": 1.3, "decode": 1.0} | dict.fromkeys(("train", "int8"), 2.0 if AVX512 else 1.8)


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


def step(folder, threads):
    """PEFT's steps, in a process of their own: one to warm up, then some."""
    import torch
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(threads)
    model = peer.with_lora(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)).train()
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=2e-4, weight_decay=0.0, fused=True)
    batch = torch.randint(3, model.config.vocab_size, (DOCUMENTS, LENGTH), generator=torch.Generator().manual_seed(1))
    seconds = []
    for _ in range(1 + STEPS):
        begin = time.perf_counter()
        model(input_ids=batch, labels=batch, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - begin)
    print(json.dumps({"value": LENGTH * DOCUMENTS / statistics.median(seconds[1:])}))


def last_json(*words):
    out = subprocess.run([str(w) for w in words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return json.loads(out.strip().splitlines()[-1])


def ours(o, what, folder, gguf):
    steps = {"train": (folder, "--train", "lora", "--compute", "f32"), "int8": (gguf, "--train", "lora", "--compute", "int8")}
    how = steps.get(what, (gguf, f"--{what}", 512 if what == "prefill" else 64))
    said = last_json(o.program, "bench", *how, "--repetitions", STEPS, "--threads", o.threads, "--json", "--quiet", "--ledger", "off")
    return said["train_tokens_per_second" if what in steps else f"{what}_tokens_per_second"]


def theirs(o, what, folder, gguf):
    if what in ("train", "int8"):
        return last_json(sys.executable, __file__, "step", folder, o.threads)["value"]
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
        for what in o.only:
            while len(done.setdefault(what, [])) < o.turns:
                done[what].append((ours(o, what, folder, gguf), theirs(o, what, folder, gguf)))
                keep(o, kept)
    return done


def main():
    if sys.argv[1:2] == ["step"]:
        return step(sys.argv[2], int(sys.argv[3]))
    p = argparse.ArgumentParser()
    p.add_argument("program")
    p.add_argument("families", nargs="*")
    p.add_argument("--kept", default="family_speed.json")
    p.add_argument("--only", default="prefill,decode,train,int8", type=lambda text: text.split(","))
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--turns", type=int, default=3)
    o, slow = p.parse_intermixed_args(), False
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
