"""See check-model. Both sides get the same ids: the program's own, of `score --json`, for the windows; the reference's for the prompts, whose
tokens are compared too. The reference computes in float32, log-probabilities from its logits in float64."""
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("XDG_STATE_HOME", tempfile.mkdtemp(prefix="kungfu-state."))
warnings.filterwarnings("ignore")
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

LIMIT, WINDOW, NEW = 2e-3, 512, 48
PROMPTS = ["What is a kernel?", "Write one sentence about rain.", "Name three colours.", "Why is the sky blue?", "The plan is a promise, because"]
program, failed = os.path.abspath(sys.argv[1]), 0


def say(what, fine):
    global failed
    failed += not fine
    print(f"{'ok  ' if fine else 'FAIL'} {what}", flush=True)


def run(*args):
    p = subprocess.run([program, *args], capture_output=True)
    if p.returncode:
        sys.exit(f"kungfu {' '.join(args)}: status {p.returncode}: {p.stderr.decode()[-2000:]}")
    return p.stdout.decode("utf-8")  # as bytes first: Python's text mode would change line ends


def load(path):
    where = dict(pretrained_model_name_or_path=path)
    if path.endswith(".gguf"):
        where = dict(pretrained_model_name_or_path=os.path.dirname(os.path.abspath(path)), gguf_file=os.path.basename(path))
    return AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(**where)


def greedy(model, ids, ends):
    """The likeliest tokens, and at each by how much it beats the second."""
    out, gaps, cache, step = [], [], None, torch.tensor([ids])
    with torch.no_grad():
        while len(out) < NEW:
            r = model(step, past_key_values=cache, use_cache=True)
            cache, best = r.past_key_values, r.logits[0, -1].topk(2)
            gaps.append(float(best.values[0] - best.values[1]))
            if int(best.indices[0]) in ends:
                break
            out.append(int(best.indices[0]))
            step = best.indices[:1].reshape(1, 1)
    return out, gaps


def check_greedy(path, model, tokenizer):
    ends = model.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    same, ties = 0, 0
    for prompt in PROMPTS:
        raw = not tokenizer.chat_template
        text = prompt if raw else tokenizer.apply_chat_template([{"role": "user", "content": prompt}], add_generation_prompt=True, tokenize=False)
        out, gaps = greedy(model, tokenizer(text, add_special_tokens=raw)["input_ids"], ends)
        wanted = tokenizer.decode(out, skip_special_tokens=True)
        exact = ["--compute", "f32", "--cache-type-k", "f32", "--cache-type-v", "f32"]
        got = run("generate", path, "-p", prompt, "--max-new-tokens", str(NEW), "--quiet", *exact, *(["--raw"] if raw else [])).rstrip("\n")
        if got.strip() == wanted.strip():
            same += 1
            continue
        at = next((i for i in range(len(out)) if not got.startswith(tokenizer.decode(out[:i + 1], skip_special_tokens=True).rstrip("\ufffd"))), len(out) - 1)
        tie = gaps[at] < LIMIT
        ties += tie
        say(f"  {prompt!r} goes another way at token {at}, where the likeliest leads by {gaps[at]:.1e}:\n     {got!r}\n     {wanted!r}", tie)
    say(f"greedy text: {same} of {len(PROMPTS)} answers of {NEW} tokens are equal" + (f", {ties} part at a tie" if ties else ""), same + ties == len(PROMPTS))


def cut(path, size, folder):
    """The text's beginning, enough for so many tokens; 0: all."""
    with open(path, encoding="utf-8") as f:
        text = f.read(size * 6 or -1)
    to = os.path.join(folder, "text")
    with open(to, "w", encoding="utf-8") as f:
        f.write(text)
    return to


def check_windows(path, model, text, windows):
    window = min(WINDOW, model.config.max_position_embeddings)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.time()
        lines = [json.loads(x) for x in run("score", path, cut(text, windows * window, folder), "--window", str(window), "--stride", str(window), "--json").splitlines()]
    lines = [x for x in lines if "id" in x]
    ids, ours = [x["id"] for x in lines], [x["logprob"] for x in lines]
    spent, end = time.time() - begin, len(ids) if not windows else min(len(ids), windows * window)
    worst, sums, n = 0, [0.0, 0.0], 0
    for at in range(0, end, window):
        piece = ids[at:min(at + window, end)]
        with torch.no_grad():
            p = torch.log_softmax(model(torch.tensor([piece])).logits[0].double(), -1)
        for i in range(1, len(piece)):
            there = float(p[i - 1, piece[i]])
            worst = max(worst, abs(there - ours[at + i]))
            sums = [sums[0] + ours[at + i], sums[1] + there]
            n += 1
    say(f"log-probabilities of {n} tokens in {math.ceil(end / window)} windows of {window}: largest difference {worst:.2e}", worst <= LIMIT)
    a, b = (math.exp(-s / n) for s in sums)
    say(f"perplexity {a:.5f}, transformers {b:.5f}; ours took {spent:.0f} s for {len(ids)} tokens, opening included", abs(a - b) <= LIMIT * b)


def main():
    for path in sys.argv[3:]:
        print(f"--- {path}", flush=True)
        model, tokenizer = load(path)
        check_greedy(path, model, tokenizer)
        check_windows(path, model, sys.argv[2], int(os.environ.get("WINDOWS", "54")))
    print("all is equal" if not failed else f"{failed} differ")
    sys.exit(failed > 0)


main()
