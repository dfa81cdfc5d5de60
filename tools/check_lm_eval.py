"""The same tasks by lm-eval and by kungfu, item by item: see tools/check-lm-eval.

usage: check_lm_eval.py theirs MODEL DATA TASKS LIMIT OUT [SHOTS]     lm-eval's samples into OUT
       check_lm_eval.py http PROGRAM MODEL DATA TASKS LIMIT OUT [SHOTS]       the same, of `PROGRAM serve MODEL`
       check_lm_eval.py http-chat PROGRAM MODEL DATA TASKS LIMIT OUT [SHOTS]  the same of /v1/chat/completions
       check_lm_eval.py compare OURS THEIRS WAY                       two folders of samples; WAY: one of those words"""

import glob
import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
TOLERANCE = 2e-4  # of log-probabilities in f32, relative to max(1, |x|): sums of tokens' in another order


def local(config, data, name):
    """The config with its rows from DATA/NAME/SPLIT.jsonl."""
    splits = {config.get(k) for k in ("training_split", "validation_split", "test_split", "fewshot_split")}
    files = {s: os.path.join(data, name, s + ".jsonl") for s in splits if s}
    files = {s: f for s, f in files.items() if os.path.exists(f)}
    for key in "training_split", "validation_split", "test_split":
        if config.get(key) not in files:
            config[key] = None
    return {**config, "dataset_path": "json", "dataset_name": None, "dataset_kwargs": {"data_files": files}}


def positions(model):
    """Its last token is only predicted by lm-eval: a document of ours has one more."""
    with open(os.path.join(model, "config.json"), encoding="utf-8") as f:
        return json.load(f)["max_position_embeddings"] - 1


def theirs(model, *rest):
    import torch
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(2)
    evaluate(HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=1, max_length=positions(model)), False, *rest)


def served(program, chat, model, *rest):
    import signal
    import subprocess

    from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI

    server = subprocess.Popen([program, "serve", model, "--alias", "served", "--port", "0", "--json", "--ledger", "off", "--compute", "f32",
                               "--cache-type-k", "f32", "--cache-type-v", "f32", "--ctx-size", str(positions(model) + 1), "--quiet"],
                              stdout=subprocess.PIPE, text=True)
    try:
        base = json.loads(server.stdout.readline())["address"]
        how = {"model": "served", "tokenizer": model, "tokenizer_backend": "huggingface", "num_concurrent": 4,
               "max_length": positions(model)}
        lm = (LocalChatCompletion(base_url=base + "/chat/completions", **{**how, "tokenizer_backend": None}) if chat else
              LocalCompletionsAPI(base_url=base + "/completions", **how))
        evaluate(lm, chat, *rest)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def evaluate(lm, chat, data, tasks, limit, out, shots=None):
    import tempfile

    os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp()
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager
    from lm_eval.tasks._yaml_loader import load_yaml

    manager = TaskManager()
    configs = []
    for name in tasks.split(","):
        path = name if name.endswith(".yaml") else manager.task_index[name].yaml_path
        config = load_yaml(path, resolve_func=True)
        configs.append(config if name.endswith(".yaml") else local(config, data, name))
    found = simple_evaluate(model=lm, tasks=configs, limit=int(limit), bootstrap_iters=100, log_samples=True,
                            num_fewshot=int(shots) if shots else None, apply_chat_template=chat)
    os.makedirs(out, exist_ok=True)
    for name, samples in found["samples"].items():
        with open(os.path.join(out, f"samples_{name}_theirs.jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(s, default=str, ensure_ascii=False) + "\n" for s in samples)
    with open(os.path.join(out, "results_theirs.json"), "w", encoding="utf-8") as f:
        json.dump({k: found[k] for k in ("results", "n-shot")}, f, default=str)


def samples(folder, name):
    paths = glob.glob(os.path.join(folder, "**", f"samples_{name}_*.jsonl"), recursive=True)
    with open(max(paths), encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def same(a, b):
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    try:
        return abs(float(a) - float(b)) <= TOLERANCE * max(1, abs(float(b)))
    except (TypeError, ValueError):
        return str(a) == str(b)


def compare(ours, theirs_in, way):
    """Of conversations over HTTP the server writes the prompt, so lm-eval's is another text."""
    prompts = way != "http-chat"
    bad = 0
    for path in sorted(glob.glob(os.path.join(theirs_in, "samples_*_theirs.jsonl"))):
        name = os.path.basename(path)[len("samples_"):-len("_theirs.jsonl")]
        a, b = samples(ours, name), samples(theirs_in, name)
        wrong = {"prompt": 0, "target": 0, "reply": 0, "metric": 0, "doc": 0}
        for x, y in zip(a, b):
            wrong["prompt"] += prompts and x["prompt_hash"] != y["prompt_hash"]
            wrong["target"] += x["target_hash"] != y["target_hash"]
            wrong["doc"] += x["doc_hash"] != y["doc_hash"]
            wrong["reply"] += not same(x["filtered_resps"], y["filtered_resps"])
            wrong["metric"] += any(not same(x.get(m), y.get(m)) for m in y["metrics"])
        missing = abs(len(a) - len(b))
        bad += sum(wrong.values()) + missing
        print(f"{name}: {len(b)} samples, " + ", ".join(f"{k} differs in {n}" for k, n in wrong.items() if n) +
              (f"{missing} missing" if missing else "") if sum(wrong.values()) + missing else
              f"{name}: {len(b)} samples, all the same")
        for x, y in zip(a, b):
            if not same(x["filtered_resps"], y["filtered_resps"]) or prompts and x["prompt_hash"] != y["prompt_hash"]:
                print("  ours  ", json.dumps(x["arguments"])[:300], x["filtered_resps"])
                print("  theirs", json.dumps(y["arguments"], default=str)[:300], y["filtered_resps"])
                break
    ours_at = max(glob.glob(os.path.join(ours, "**", "results_*.json"), recursive=True))
    with open(ours_at, encoding="utf-8") as f, open(os.path.join(theirs_in, "results_theirs.json"), encoding="utf-8") as g:
        a, b = json.load(f)["results"], json.load(g)["results"]
    for name, row in b.items():
        for key, value in row.items():
            if "," in key and "stderr" not in key and not same(a.get(name, {}).get(key), value):
                print(f"{name}: {key}: {a.get(name, {}).get(key)}, theirs {value}")
                bad += 1
    return 1 if bad else 0


if __name__ == "__main__":
    if sys.argv[1] == "theirs":
        theirs(*sys.argv[2:])
    elif sys.argv[1] in ("http", "http-chat"):
        served(sys.argv[2], sys.argv[1] == "http-chat", *sys.argv[3:])
    else:
        sys.exit(compare(*sys.argv[2:5]))
