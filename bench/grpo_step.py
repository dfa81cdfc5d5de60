"""A GRPO step (8 answers of 64 tokens to each prompt, and the update) of kungfu and of TRL, on two threads, the same model, prompts,
LoRA and loss; TRL generates by itself, with gradient checkpointing off.

    python bench/grpo_step.py MODEL_FOLDER [--gguf FILE] [--prompts 1] [--steps 4] [--threads 2] [--kungfu build/kungfu] [--only f32|gguf|trl]

MODEL_FOLDER is a Hugging Face folder in f32 (SmolLM2: kungfu convert model.gguf --out FOLDER --dtype f32); FILE the quantized file of the same
numbers, which kungfu trains on too, in the arithmetic that it takes by itself. Both draw at temperature 1 and end no answer early (TRL:
min_new_tokens; kungfu: answers that ended early are fewer tokens, which its line says). Told are seconds of a step, of kungfu the mean without
the first, milliseconds for a token of the answers, by which they are compared, and the peak resident set of the process.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

PROMPT = "Once upon a time, in a village by the sea, there lived a carpenter who had seen many lands, and this is his story, part"
REWARD = 'while read -r line; do echo $((${#line} % 7)); done'


def kungfu(a, tmp, model, compute):
    data = os.path.join(tmp, "prompts.jsonl")
    with open(data, "w", encoding="utf-8") as f:
        for i in range(a.prompts * a.steps):
            f.write(json.dumps({"prompt": f"{PROMPT} {i + 1}:"}) + "\n")
    out = os.path.join(tmp, "run")
    command = [a.kungfu, "tune", model, "--data", data, "--out", out, "--objective", "grpo", "--reward-command", REWARD, "--num-generations",
               "8", "--batch-size", str(a.prompts), "--max-completion-length", "64", "--max-steps", str(a.steps), "--lora-r", "16",
               "--target-modules", "all-linear", "--learning-rate", "1e-5", "--threads", str(a.threads), "--compute", compute,
               "--no-forgetting", "--save-steps", "0", "--quiet"]
    subprocess.run(command, check=True)
    lines = [json.loads(x) for x in open(os.path.join(out, "metrics.jsonl"), encoding="utf-8")]
    run = json.load(open(os.path.join(out, "run.json"), encoding="utf-8"))
    # tokens of a step over its tokens a second
    before, seconds = 0, []
    for x in lines:
        seconds.append((x["num_tokens"] - before) / x["tokens_per_second"])
        before = x["num_tokens"]
    length = sum(x["completions/mean_length"] for x in lines) / len(lines)
    return seconds, find(run, "peak_rss_bytes"), length, f"answers of {length:.1f} tokens, {find(run, 'compute') or compute}"


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
from trl import GRPOConfig, GRPOTrainer

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
rows = Dataset.from_list([{"prompt": f"{a['prompt']} {i + 1}:"} for i in range(a["prompts"] * a["steps"])])
args = GRPOConfig(output_dir=a["tmp"], max_steps=a["steps"], per_device_train_batch_size=8 * a["prompts"], num_generations=8,
                  max_completion_length=64, learning_rate=1e-5, temperature=1.0, bf16=False, gradient_checkpointing=False, use_cpu=True,
                  report_to=[], save_strategy="no", logging_steps=1, disable_tqdm=True, dataloader_pin_memory=False,
                  generation_kwargs={"min_new_tokens": 64})
watch = Watch()
t = GRPOTrainer(model=model, args=args, train_dataset=rows, processing_class=tok, callbacks=[watch],
                reward_funcs=lambda completions, **k: [len(c) % 7 for c in completions],
                peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", lora_dropout=0.0))
# a step begins with its answers, which are drawn before on_step_begin: the whole loop is timed
began = time.perf_counter()
t.train()
print(json.dumps({"seconds": (time.perf_counter() - began) / a["steps"], "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


def trl(a, tmp):
    told = {"model": a.model, "prompts": a.prompts, "steps": a.steps, "threads": a.threads, "tmp": tmp, "prompt": PROMPT}
    out = subprocess.run([sys.executable, "-c", TRL, json.dumps(told)], check=True, capture_output=True, text=True,
                         env={**os.environ, "OMP_NUM_THREADS": str(a.threads)}).stdout
    last = json.loads(out.strip().splitlines()[-1])
    return [last["seconds"]] * 2, last["rss"], 64, "answers of 64 tokens; the mean of all steps"


p = argparse.ArgumentParser()
p.add_argument("model")
p.add_argument("--prompts", type=int, default=1)
p.add_argument("--steps", type=int, default=4)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--kungfu", default="build/kungfu")
p.add_argument("--gguf")
p.add_argument("--only")
args = p.parse_args()
WAYS = {"f32": lambda tmp: kungfu(args, tmp, args.model, "f32"), "gguf": lambda tmp: kungfu(args, tmp, args.gguf, "auto"), "trl": lambda tmp: trl(args, tmp)}
result = {}
for name, run in WAYS.items():
    if args.only in (None, name) and (name != "gguf" or args.gguf):
        with tempfile.TemporaryDirectory() as folder:
            took, rss, length, note = run(folder)
        step = sum(took[1:]) / len(took[1:])
        result[name] = (step / (8 * args.prompts * length), rss)
        print(f"{name}: {step:.2f} s a step, {1e3 * result[name][0]:.1f} ms a token, {rss / 2**20:.0f} MB; {note}", flush=True)
for name in result:
    if name != "trl" and "trl" in result:
        print(f"kungfu, {name}: {result['trl'][0] / result[name][0]:.2f} times as fast as TRL, in {result[name][1] / result['trl'][1]:.2f} of the memory")
