"""A DPO step of kungfu and of TRL, on two threads: the same model, rows, LoRA and loss. Gradient checkpointing is off, reference log-probabilities
are made before the first step on both sides, prompts are at least as long as answers.

    python bench/dpo_step.py MODEL_FOLDER [--batch 4] [--steps 6] [--prompt 160] [--answer 80] [--threads 2] [--kungfu build/kungfu] [--only kungfu|trl]

MODEL_FOLDER is a Hugging Face folder in f32 (SmolLM2: kungfu convert model.gguf --out FOLDER --dtype f32). --prompt and --answer are words; the
two answers to a prompt have as many, so neither side pads much. Told are seconds of a step, the mean without the first, the first loss, which both
have in common (log 2), and the peak resident set of the process.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

WORDS = ("the a of to and in that it was for on with as his they be at one have this from or had by hot but some what there we can out other were "
         "all your when up use word how said an each she which do their time if will way about many then them would write like so these her long").split()


def rows(a):
    r = random.Random(7)
    text = lambda n: " ".join(r.choice(WORDS) for _ in range(n))
    return [{"prompt": text(a.prompt), "chosen": " " + text(a.answer), "rejected": " " + text(a.answer)} for _ in range(a.batch * a.steps)]


def kungfu(a, data, tmp):
    out = os.path.join(tmp, "run")
    subprocess.run([a.kungfu, "tune", a.model, "--data", data, "--out", out, "--objective", "dpo", "--batch-size", str(a.batch), "--max-length", "1024",
                    "--micro-batch-tokens", str(a.micro_batch_tokens), "--max-steps", str(a.steps), "--lora-r", "16", "--lora-alpha", "32", "--lora-dropout", "0",
                    "--target-modules", "all-linear", "--learning-rate", "1e-5", "--threads", str(a.threads), "--compute", "f32", "--no-forgetting",
                    "--save-steps", "0", "--quiet"], check=True)
    lines = [json.loads(x) for x in open(os.path.join(out, "metrics.jsonl"), encoding="utf-8")]
    run = json.load(open(os.path.join(out, "run.json"), encoding="utf-8"))
    before, seconds = 0, []
    for x in (x for x in lines if "loss" in x):  # tokens of a step over its tokens a second
        seconds.append((x["num_tokens"] - before) / x["tokens_per_second"])
        before = x["num_tokens"]
    return seconds, find(run, "peak_rss_bytes"), lines[0]["loss"]


def find(j, key):
    if isinstance(j, dict):
        if key in j:
            return j[key]
        return next((x for x in (find(v, key) for v in j.values()) if x is not None), None)
    return None


TRL = r"""
import json, resource, sys, time
a = json.loads(sys.argv[1])
import torch
torch.set_num_threads(a["threads"])
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import DPOConfig, DPOTrainer

class Watch(TrainerCallback):
    def __init__(self):
        self.seconds = []
    def on_step_begin(self, *x, **k):
        self.began = time.perf_counter()
    def on_step_end(self, *x, **k):
        self.seconds.append(time.perf_counter() - self.began)

tok = AutoTokenizer.from_pretrained(a["model"])
tok.pad_token = tok.pad_token or tok.eos_token
model = AutoModelForCausalLM.from_pretrained(a["model"], dtype=torch.float32)
rows = Dataset.from_list([json.loads(x) for x in open(a["data"])])
args = DPOConfig(output_dir=a["tmp"], max_steps=a["steps"], per_device_train_batch_size=a["batch"], max_length=1024, learning_rate=1e-5, bf16=False,
                 gradient_checkpointing=False, precompute_ref_log_probs=True, use_cpu=True, report_to=[], save_strategy="no", logging_steps=1,
                 disable_tqdm=True, dataloader_pin_memory=False)
watch = Watch()
t = DPOTrainer(model=model, args=args, train_dataset=rows, processing_class=tok, callbacks=[watch],
               peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", lora_dropout=0.0))
t.train()
print(json.dumps({"seconds": watch.seconds, "loss": t.state.log_history[0]["loss"], "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def trl(a, data, tmp):
    told = {"model": a.model, "data": data, "batch": a.batch, "steps": a.steps, "threads": a.threads, "tmp": tmp}
    out = subprocess.run([sys.executable, "-c", TRL, json.dumps(told)], check=True, capture_output=True, text=True,
                         env={**os.environ, "OMP_NUM_THREADS": str(a.threads)}).stdout
    last = json.loads(out.strip().splitlines()[-1])
    return last["seconds"], last["rss"], last["loss"]


p = argparse.ArgumentParser()
p.add_argument("model")
p.add_argument("--batch", type=int, default=4)
p.add_argument("--steps", type=int, default=6)
p.add_argument("--prompt", type=int, default=160)
p.add_argument("--answer", type=int, default=80)
p.add_argument("--micro-batch-tokens", type=int, default=2048)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--kungfu", default="build/kungfu")
p.add_argument("--only")
args = p.parse_args()
result = {}
for name, run in (("kungfu", kungfu), ("trl", trl)):
    if args.only in (None, name):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pairs.jsonl")
            with open(path, "w", encoding="utf-8") as f:
                f.writelines(json.dumps(x) + "\n" for x in rows(args))
            took, rss, loss = run(args, path, folder)
        result[name] = (sum(took[1:]) / len(took[1:]), rss)
        print(f"{name}: {result[name][0]:.2f} s a step, {rss / 2**20:.0f} MB, first loss {loss:.5f}", flush=True)
if len(result) == 2:
    print(f"kungfu is {result['trl'][0] / result['kungfu'][0]:.2f} times as fast, in {result['kungfu'][1] / result['trl'][1]:.2f} of the memory")
