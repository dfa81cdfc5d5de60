"""What the rows of bench/rows share: running both programs in turns, medians, the table.

A row is a module with TITLE, UNIT, PEER (a name), TARGET (the ratio that is wanted, or None), LESS (True where less is better), RUNS (how many,
where the usual would take too long) and cases(bench), which yields (name, ours, peer): two functions that return {"value": number, …}, peer None where there is nothing beside us.
A row without a peer program may yield our own slower way as the peer."""
import json
import os
import platform
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ["torch", "transformers", "peft", "gguf", "llama-cpp-python"]


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "kungfu-bench")


def processor():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.processor())


class Skip(Exception):
    """This row cannot be measured here; the reason is shown."""


class Bench:
    def __init__(self, program, model, runs, out):
        self.program, self.model, self.runs, self.out = os.path.abspath(program), os.path.abspath(model), runs, out
        self.threads = int(os.environ.get("THREADS", "2"))
        self.cache = cache_folder()
        os.makedirs(self.cache, exist_ok=True)
        os.makedirs(out, exist_ok=True)
        self.results = self.read_table()
        self.machine = self.kungfu("bench", "--threads", str(self.threads))
        self.versions = {"kungfu": subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.split()[-1]}

    # --- running ---

    def last_json(self, command, **env):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def kungfu(self, *words):
        """The summary of a command."""
        return self.last_json([self.program, *words, "--json", "--quiet"])

    def timed(self, *words):
        """Wall-clock seconds of a command of ours, and its summary."""
        begin = time.perf_counter()
        summary = self.last_json([self.program, *words, "--json", "--quiet"])
        return time.perf_counter() - begin, summary

    def python(self):
        if os.environ.get("PEER_PYTHON"):
            return os.environ["PEER_PYTHON"]
        venv = os.path.join(self.cache, "venv")
        python = os.path.join(venv, "bin", "python")
        if not os.path.exists(os.path.join(venv, "ready")):
            print(f"making {venv}: {', '.join(PACKAGES)}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([python, "-m", "pip", "--quiet", "install", *PACKAGES], check=True)
            open(os.path.join(venv, "ready"), "w").close()
        return python

    def peer(self, script, *words):
        """The last line of one of the peers' scripts; what it says about versions is kept."""
        got = self.last_json([self.python(), os.path.join(HERE, script), *map(str, words)], OMP_NUM_THREADS=str(self.threads))
        self.versions.update(got.pop("versions", {}))
        return got

    def file(self, kind):
        """The model as a GGUF file of another storage type, made by llama.cpp on first use."""
        name = os.path.basename(self.model).replace(".gguf", "").rsplit(".", 1)
        if name[-1].upper() == kind:
            return self.model
        path = os.path.join(self.cache, f"{name[0]}.{kind}.gguf")
        if not os.path.exists(path):
            self.peer("llama_speed.py", "make", self.model if kind == "F32" else self.file("F32"), path, kind)
        return path

    # --- measuring ---

    def note(self, row, case, who, result):
        with open(os.path.join(self.out, "runs.jsonl"), "a") as f:
            f.write(json.dumps({"row": row, "case": case, "who": who, "time": time.time(), **result}) + "\n")
        print(f"  {row} {case} {who}: {result['value']:.4g}", file=sys.stderr)
        return result

    def alternate(self, row, case, ours, peer, runs):
        mine, theirs = [], []
        for _ in range(runs):
            mine.append(self.note(row, case, "kungfu", ours()))
            if peer:
                theirs.append(self.note(row, case, "peer", peer()))
        return summary(mine), summary(theirs) if theirs else None

    def row(self, name, module):
        print(f"{name}: {module.TITLE}", file=sys.stderr)
        cases = []
        try:
            for case, ours, peer in module.cases(self):
                a, b = self.alternate(name, case, ours, peer, getattr(module, "RUNS", self.runs))
                less = getattr(module, "LESS", False)
                ratio = b and (b["value"] / a["value"] if less else a["value"] / b["value"])
                cases.append({"case": case, "kungfu": a, "peer": b, "ratio": ratio})
        except Skip as why:
            print(f"  left out: {why}", file=sys.stderr)
            self.results[name] = {"title": module.TITLE, "left_out": str(why)}
            return
        self.results[name] = {"title": module.TITLE, "unit": module.UNIT, "peer": module.PEER, "target": module.TARGET, "threads": self.threads,
                              "cases": cases}
        self.write_table()

    # --- the table ---

    def read_table(self):
        try:
            with open(os.path.join(self.out, "table.json")) as f:
                return json.load(f)["rows"]
        except FileNotFoundError:
            return {}

    def write_table(self):
        date = time.strftime("%Y-%m-%d", time.gmtime())
        whole = {"date": date, "processor": processor(), "machine": self.machine, "runs": self.runs, "versions": self.versions, "rows": self.results}
        for name, text in (("table.json", json.dumps(whole, indent=2) + "\n"), ("table.md", markdown(whole))):
            path = os.path.join(self.out, name)
            with open(path + ".new", "w") as f:
                f.write(text)
            os.rename(path + ".new", path)


def summary(runs):
    values = [r["value"] for r in runs]
    out = dict(runs[-1])
    out.update(value=statistics.median(values), low=min(values), high=max(values), n=len(values))
    return out


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def cell(s):
    if not s:
        return ""
    text = f"{number(s['value'])} ({number(s['low'])} to {number(s['high'])})"
    if s.get("peak_rss_bytes"):
        text += f", {s['peak_rss_bytes'] / 1e9:.2f} GB"
    if s.get("share"):
        text += f", {100 * s['share']:.0f} % of the limit"
    return text + (f", {s['note']}" if s.get("note") else "")


def markdown(t):
    m = t["machine"]
    lines = [f"{t['processor']}, {m['isa']}, {m['threads']} threads; f32 products {m['sgemm_flops'] / 1e9:.0f} GFLOP/s, reading {m['read_bytes'] / 1e9:.0f} GB/s; "
             f"{t['date']}; medians of {t['runs']} runs in turns (slowest to fastest); " + ", ".join(f"{k} {v}" for k, v in sorted(t["versions"].items())), "",
             "| work | kungfu | peer | ratio | wanted |", "|---|---|---|---|---|"]
    for name, r in sorted(t["rows"].items()):
        if "left_out" in r:
            lines.append(f"| {r['title']} | left out: {r['left_out']} | | | |")
            continue
        for c in r["cases"]:
            title = r["title"] + (f", {c['case']}" if c["case"] else "") + f" ({r['unit']})"
            peer = f"{r['peer']}: {cell(c['peer'])}" if c["peer"] else ""
            ratio = f"{c['ratio']:.2f}" if c["ratio"] else ""
            lines.append(f"| {title} | {cell(c['kungfu'])} | {peer} | {ratio} | {r['target'] or ''} |")
    return "\n".join(lines) + "\n"


def train(bench, method, data, *words, model=None, batch=2, length=512, steps=5, threads=None):
    """A run of `kungfu tune` for its speed: tokens/s after the first step, memory, share of the limit."""
    import tempfile
    with tempfile.TemporaryDirectory() as out:
        s = bench.kungfu("tune", model or bench.model, "--data", data, "--out", os.path.join(out, "run"), "--method", method, "--max-steps", str(steps),
                         "--max-length", str(length), "--per-device-train-batch-size", str(batch), "--save-steps", "0", "--warmup-ratio", "0",
                         "--lr-scheduler-type", "constant", "--threads", str(threads or bench.threads), *words)
    limit = bench.machine["sgemm_flops"] / (s["flops"] / s["computed_tokens"])
    share = s["tokens_per_second"] / limit if not words and threads in (None, bench.threads) else None
    return {"value": s["tokens_per_second"], "peak_rss_bytes": s["peak_rss_bytes"], "share": share, "loss": s["loss"]}


def step_rows(bench):
    """Two documents of 512 tokens, the same for both programs."""
    path = os.path.join(bench.cache, "rows.jsonl")
    if not os.path.exists(path):
        bench.peer("peft_step.py", "rows", bench.model, bench.cache, path)
    return path


def speed(bench, model, what, n, *words):
    """`kungfu bench` of one thing."""
    s = bench.kungfu("bench", model, f"--{what}", str(n), "--repetitions", "3", "--threads", str(bench.threads), *words)
    return {"value": s[f"{what}_tokens_per_second"], "share": s["roofline_share"][what]}
