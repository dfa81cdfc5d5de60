#!/usr/bin/env python3
"""Every method that PEFT has (bottlenecks: adapters) beside it, on the demo's job: the same model in floats, rows, steps, batch, rates and sizes.

    bench/methods_peft.py PROGRAM MODEL.gguf DATA OUT [--steps N] [--batch N] [--questions N] [METHOD …]
    bench/methods_peft.py --table OUT

DATA is what tools/demo-data makes, METHOD the words behind --method, all without one. `kungfu tune` with its defaults goes first, on the floats and in
the arithmetic that is the default on the GGUF file; the other program reads the config that the first left and takes each step's rate from its metrics,
and begins by its own rules; the rows come in the order of the file to both. Then the three results answer the same questions, by `kungfu eval` on the GGUF file (in int8; models: their folders), and a text's
log-probabilities are computed by both programs of both float results, on the float model and on the GGUF. What OUT/methods.json has is not done again, so a run
that was stopped goes on; the table in OUT/methods.md is of all.

PEER_PYTHON and ADAPTERS_PYTHON name interpreters that have PEFT and adapters; without them they are installed as bench/run does. THREADS=2 is what both get."""
import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import time

import harness

TOKENS = "11931,5817,2139,9961,42"  # " admin", " database", " sound", " Section", ":"
METHODS = [
    "lora", "lora --use-dora", "lora --use-rslora", "lora --init-lora-weights pissa", "ia3", "prompt_tuning", "p_tuning", "prefix_tuning", "full",
    "adalora", "vera", "loha", "lokr", "ln_tuning", "hira", "shira", "miss", "bottleneck --adapter-config double_seq_bn",
    "bottleneck --adapter-config seq_bn", "bottleneck --adapter-config par_bn", f"trainable_tokens --token-indices {TOKENS}",
    "lora --init-lora-weights olora", "full --trainable .*norm.*"]
TEXT = "The plan is a promise: no step takes more memory than it says.\nWas it faster in 2026? It was, twice; naïve café."


class Peer:
    """The other program, which reads the model once for all of its methods."""

    def __init__(self, python, *words, threads):
        env = {**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}  # beside others, threads that wait by spinning take each other's time
        self.process = subprocess.Popen([python, os.path.join(harness.HERE, "peft_method.py"), *words, str(threads)], env=env, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.versions = self.answer()["versions"]

    def answer(self):
        line = self.process.stdout.readline()
        got = json.loads(line) if line else {"error": "the peer's process ended"}
        if "error" in got:
            raise RuntimeError(got["error"])
        return got

    def ask(self, **job):
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return self.answer()


class Methods:
    def __init__(self, a):
        self.bench = harness.Bench(a.program, a.model, 1, a.out)
        self.out, self.steps, self.batch, self.questions = os.path.abspath(a.out), a.steps, a.batch, a.questions
        os.environ["XDG_STATE_HOME"] = os.path.join(self.out, "state")  # not the user's own ledger
        self.results, self.peers = read(self.out), {}
        self.train, self.test = self.part(a.data, "train", a.steps * a.batch), self.part(a.data, "test", a.questions)
        self.base, self.text = os.path.join(self.out, "base"), os.path.join(self.out, "text")
        with open(self.text, "w", encoding="utf-8") as f:
            f.write(TEXT)
        if not os.path.exists(os.path.join(self.base, "config.json")):
            self.bench.kungfu("convert", self.bench.model, "--out", self.base, "--dtype", "f32")
        self.ids = self.score(self.base)[0]

    def part(self, data, name, n):
        """n rows from all through the file."""
        with open(os.path.join(data, name + ".jsonl"), encoding="utf-8") as f:
            lines = f.read().splitlines()
        path = os.path.join(self.out, name + ".jsonl")
        harness.replace(path, "".join(lines[i * len(lines) // n] + "\n" for i in range(n)))
        return path

    def score(self, model, *words):
        """Ids and log-probabilities of the text."""
        tokens = [t for t in self.bench.lines("score", model, self.text, *words) if "id" in t]
        return [t["id"] for t in tokens], [t["logprob"] for t in tokens]

    def answers(self, method, folder):
        words = [folder] if method.startswith("full") else [self.bench.model, "--compute", "int8", "--adapter", folder]
        e = self.bench.kungfu("eval", *words, "--data", self.test)
        return {"acc": e["acc"], "acc_stderr": e["acc_stderr"], "eval_loss": math.log(e["perplexity"])}

    def here(self, method, folder):
        """The text's log-probabilities by this program: on the floats, on the GGUF."""
        if method.startswith("full"):
            return [self.score(folder)[1]]
        return [self.score(m, "--adapter", folder)[1] for m in (self.base, self.bench.model)]

    def ours(self, method, folder, model):
        s = self.bench.kungfu("tune", model, "--data", self.train, "--out", folder, "--overwrite", "--method", *method.split(), "--max-steps", str(self.steps),
                              "--per-device-train-batch-size", str(self.batch), "--max-length", "512", "--save-steps", "0", "--no-forgetting",
                              "--train-sampling-strategy", "sequential",
                              "--threads", str(self.bench.threads))
        kept = ("tokens_per_second", "cpu_seconds", "peak_rss_bytes", "compute", "seconds")
        return {k: s[k] for k in kept} | {"load": os.getloadavg()[0]} | self.answers(method, folder)

    def peer(self, method):
        python = self.adapters() if method.startswith("bottleneck") else self.bench.python("peft_method.py")
        if python not in self.peers:
            self.peers[python] = Peer(python, self.base, self.train, threads=self.bench.threads)
            self.bench.versions.update(self.peers[python].versions)
        return self.peers[python]

    def adapters(self):
        return os.environ.get("ADAPTERS_PYTHON") or self.bench.environment("venv-adapters", ["torch", "adapters", "peft"])

    def theirs(self, method, run, out):
        with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as f:
            rates = [m["learning_rate"] for m in map(json.loads, f) if "learning_rate" in m]
        words, asked = method.split(), {}
        for option, key in (("--init-lora-weights", "init"), ("--trainable", "trainable")):
            if option in words:
                asked[key] = words[words.index(option) + 1]
        got = self.peer(method).ask(run=run, out=out, batch=self.batch, rates=rates, ids=self.ids, **asked)
        if words[0] == "full":
            for name in os.listdir(self.base):
                if name.startswith(("tokenizer", "special")):
                    shutil.copy(os.path.join(self.base, name), out)
        return got | {"load": os.getloadavg()[0]}, max(rates)

    def measure(self, method):
        folder = os.path.join(self.out, method.replace(" --", "-").replace(" ", "-"))
        peer = self.peer(method)
        a, usual = self.ours(method, folder, self.base), self.ours(method, folder + "-gguf", self.bench.model)
        b, rate = self.theirs(method, folder, folder + "-peft")
        of_ours = peer.ask(run=folder, ids=self.ids)["logprobs"]
        own, parameters = b.pop("logprobs"), b.pop("parameters")
        off = {"ours_there": [distance(x, of_ours) for x in self.here(method, folder)],
               "theirs_here": [distance(x, own) for x in self.here(method, folder + "-peft")]}
        return {"rate": rate, "steps": self.steps, "batch": self.batch, "questions": self.questions, "parameters": parameters,
                "kungfu": a, "usual": usual,
                "peer": {**b, **self.answers(method, folder + "-peft")}, "off": off}

    def run(self, methods):
        if "base" not in self.results:
            e = self.bench.kungfu("eval", self.bench.model, "--compute", "int8", "--data", self.test)
            self.results["base"] = {"acc": e["acc"], "acc_stderr": e["acc_stderr"], "eval_loss": math.log(e["perplexity"])}
        for m in methods:
            if "kungfu" in self.results.get(m, {}):
                continue
            begin = time.time()
            try:
                self.results[m] = self.measure(m)
            except (RuntimeError, OSError, KeyError) as why:
                self.results[m] = {"error": str(why)}
            self.results["machine"] = {"processor": harness.processor(), "isa": self.bench.machine["isa"], "threads": self.bench.threads,
                                       "date": time.strftime("%Y-%m-%d", time.gmtime()), "versions": self.bench.versions}
            print(f"{m}: {json.dumps(self.results[m])} ({time.time() - begin:.0f} s)", file=sys.stderr, flush=True)
            harness.replace(os.path.join(self.out, "methods.json"), json.dumps(self.results, indent=1) + "\n")
            harness.replace(os.path.join(self.out, "methods.md"), table(self.results))


def distance(a, b):
    return max(abs(x - y) for x, y in zip(a, b) if x is not None and y is not None)


def read(out):
    try:
        with open(os.path.join(out, "methods.json"), encoding="utf-8") as f:
            return json.load(f)
    except FileNotFoundError:
        return {}


def each(r, form):
    """Ours in floats, ours by default on the GGUF, the other program's."""
    return " / ".join(form(r[k]) for k in ("kungfu", "usual", "peer"))


def times(r, form):
    return " / ".join(f"{form(r[k]):.2f}" for k in ("kungfu", "usual"))


def row(m, r):
    b = r["peer"]
    behind = any(b["acc"] - a["acc"] > 2 * math.hypot(a["acc_stderr"], b["acc_stderr"]) for a in (r["kungfu"], r["usual"]))
    cells = [f"`{m}`", f"{r['steps']}·{r['batch']}", f"{r['rate']:g}", f"{r['parameters']:,}", each(r, lambda x: f"{100 * x['acc']:.1f} ± {100 * x['acc_stderr']:.1f}") + (" **behind**" if behind else ""),
             each(r, lambda x: f"{x['eval_loss']:.2f}"), each(r, lambda x: f"{x['tokens_per_second']:.0f}"),
             times(r, lambda x: x["tokens_per_second"] / b["tokens_per_second"]) + ("" if r["usual"]["compute"] == "int8" else f" ({r['usual']['compute']})"),
             times(r, lambda x: b["cpu_seconds"] / x["cpu_seconds"]), each(r, lambda x: f"{x['peak_rss_bytes'] / 1e6:.0f}"),
             " / ".join(f"{max(r['off'][k]):.0e}" for k in ("ours_there", "theirs_here"))]
    return "| " + " | ".join(cells) + " |"


def table(results):
    m, base = results["machine"], results["base"]
    known = [(n, results[n]) for n in METHODS if n in results] + [(n, r) for n, r in results.items() if "kungfu" in r and n not in METHODS]
    measured = [r for _, r in known if "kungfu" in r]
    counts = sorted({r["questions"] for r in measured})
    load = max((r[k]["load"] for r in measured for k in ("kungfu", "usual", "peer")), default=0)
    lines = [f"{m['processor']}, {m['isa']}, {m['threads']} threads; {m['date']}; load at most {load:.0f}; "
             + ", ".join(f"{k} {v}" for k, v in sorted(m["versions"].items())) + "; " + ", ".join(map(str, counts)) + " questions"
             + f"; before: {100 * base['acc']:.1f} ± {100 * base['acc_stderr']:.1f} %, loss {base['eval_loss']:.2f}", "",
             "| `--method` | steps·rows | rate | parameters | accuracy, % | loss | tokens/s | ratio | in processor time | memory, MB | log-probabilities off: ours there / theirs here |",
             "|---|---|---|---|---|---|---|---|---|---|---|"]
    lines += [row(n, r) if "kungfu" in r else f"| `{n}` | failed: {r['error'].strip().splitlines()[-1]} |" for n, r in known]
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:2] == ["--table"]:
        print(table(read(sys.argv[2])), end="")
        return
    p = argparse.ArgumentParser(usage=__doc__.split("\n")[2].strip(), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "data", "out"):
        p.add_argument(name)
    for name, usual in (("--steps", 40), ("--batch", 8), ("--questions", 200)):
        p.add_argument(name, type=int, default=usual)
    p.add_argument("methods", nargs="*")
    a = p.parse_intermixed_args()
    Methods(a).run(a.methods or METHODS)


if __name__ == "__main__":
    main()
