"""What the rows of bench/rows share: running both programs in turns, medians, the table.

A row is a module with TITLE, UNIT, PEER (a name), SECONDS (of one turn of all its cases on two cores, for the time left), LESS (True where less is
better), RUNS (how many turns, where the usual would take too long), QUICK_SECONDS (the same two of --quick: then it takes the usual turns), AFTER (rows whose runs it reads) and cases(bench), which yields Case.
A row without a peer program may yield our own slower way as the peer."""
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Callable, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = ["torch", "transformers", "peft", "gguf", "llama-cpp-python"]

# What keeps each program from using more of the processor than an instruction set: kungfu and PyTorch ask the environment, llama.cpp must be compiled for it.
TO_256_BITS = {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
HELD_TO = {"avx2": {"KUNGFU_ISA": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", **TO_256_BITS},
           "avxvnni": {"KUNGFU_ISA": "avxvnni", "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI", **TO_256_BITS}}
GGML_AVX2 = "-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
COMPILED_FOR = {"avx2": GGML_AVX2, "avxvnni": GGML_AVX2 + " -DGGML_AVX_VNNI=ON"}


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "kungfu-bench")


def processor():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), platform.processor())


class Skip(Exception):
    """This row cannot be measured here; the reason is shown."""


@dataclass
class Case:
    """ours, peer: functions that return {"value": number, …}; peer None where there is nothing beside us.
    wants: what is aimed at: ratio (of ours to the peer, turned over where less is better) and share (of the limit) at least, bytes (our peak) and
    most (our value) at most, least (our value) at least."""
    name: str
    ours: Callable
    peer: Optional[Callable] = None
    wants: dict = field(default_factory=dict)


class Bench:
    def __init__(self, program, model, runs, out, quick=False, isa=None):
        self.program, self.model, self.runs, self.out, self.quick = os.path.abspath(program), os.path.abspath(model), runs, out, quick
        self.threads = int(os.environ.get("THREADS", "2"))
        self.isa, self.cache = isa, cache_folder()
        os.environ.update(HELD_TO.get(isa, {}))
        os.makedirs(self.cache, exist_ok=True)
        os.makedirs(out, exist_ok=True)
        self.results = self.read_table()
        self.versions = {"kungfu": subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.split()[-1]}
        self.measure_machine()

    # --- running ---

    def output(self, command, **env):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout.strip().splitlines()

    def last_json(self, command, **env):
        return json.loads(self.output(command, **env)[-1])

    def lines(self, *words):
        """All that a command says."""
        return [json.loads(line) for line in self.output([self.program, *words, "--json", "--quiet"])]

    def kungfu(self, *words):
        """The summary of a command."""
        return self.last_json([self.program, *words, "--json", "--quiet"])

    def timed(self, *words):
        """Wall-clock seconds of a command of ours, and its summary."""
        begin = time.perf_counter()
        summary = self.last_json([self.program, *words, "--json", "--quiet"])
        return time.perf_counter() - begin, summary

    def measure_machine(self):
        self.machine = self.kungfu("bench", "--threads", str(self.threads))

    def environment(self, name, packages, **env):
        """The interpreter of a virtual environment with these packages, made on first use."""
        venv = os.path.join(self.cache, name)
        python = os.path.join(venv, "bin", "python")
        if not os.path.exists(os.path.join(venv, "ready")):
            print(f"making {venv}: {', '.join(packages)}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            subprocess.run([python, "-m", "pip", "--quiet", "install", *(["--no-cache-dir"] if env else []), *packages], check=True,
                           env={**os.environ, **env})  # a wheel that pip compiled before was made for other flags
            open(os.path.join(venv, "ready"), "w").close()
        return python

    def python(self, script):
        if self.isa and script == "llama_speed.py":
            return self.environment("venv-" + self.isa, ["llama-cpp-python"], CMAKE_ARGS=COMPILED_FOR[self.isa])
        return os.environ.get("PEER_PYTHON") or self.environment("venv", PACKAGES)

    def peer(self, script, *words):
        """The last line of one of the peers' scripts; what it says about versions is kept."""
        got = self.last_json([self.python(script), os.path.join(HERE, script), *map(str, words)], OMP_NUM_THREADS=str(self.threads))
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

    def note(self, row, case, who, run):
        begin = time.time()
        result = run()
        with open(os.path.join(self.out, "runs.jsonl"), "a") as f:
            f.write(json.dumps({"row": row, "case": case, "who": who, "time": begin, "took": time.time() - begin, **result}) + "\n")
        print(f"  {row} {case} {who}: {result['value']:.4g}", file=sys.stderr)
        return result

    def alternate(self, row, case, runs):
        mine, theirs = [], []
        for _ in range(runs):
            mine.append(self.note(row, case.name, "kungfu", case.ours))
            if case.peer:
                theirs.append(self.note(row, case.name, "peer", case.peer))
        return summary(mine), summary(theirs) if theirs else None

    def row(self, name, module):
        print(f"{name}: {module.TITLE}", file=sys.stderr)
        cases, less = [], getattr(module, "LESS", False)
        facts = {"title": module.TITLE, "unit": module.UNIT, "peer": module.PEER, "date": time.strftime("%Y-%m-%d", time.gmtime()), "less": less,
                 "processor": processor(), "threads": self.threads, "quick": self.quick}
        try:
            self.measure_machine()
            for case in module.cases(self):
                a, b = self.alternate(name, case, self.runs_of(module))
                ratio = b and (b["value"] / a["value"] if less else a["value"] / b["value"])
                cases.append({"case": case.name, "kungfu": a, "peer": b, "ratio": ratio, "wants": case.wants, "met": judged(case.wants, a, ratio)})
        except Skip as why:
            print(f"  left out: {why}", file=sys.stderr)
            facts["left_out"] = str(why)
        except (RuntimeError, OSError, subprocess.SubprocessError) as why:
            print(f"  failed: {why}", file=sys.stderr)
            facts["left_out"] = "it failed: " + str(why).strip().splitlines()[-1]
        self.results[name] = {**facts, "cases": cases, "machine": {k: self.machine[k] for k in KEPT}, "versions": dict(self.versions)}
        self.write_table()

    def runs_of(self, module):
        return self.runs if self.quick and hasattr(module, "QUICK_SECONDS") else getattr(module, "RUNS", self.runs)

    def rows(self, modules):
        """All of them, with the time left: what is declared, times how wrong that was so far."""
        expected = {n: (getattr(m, "QUICK_SECONDS", 0.7 * m.SECONDS) if self.quick else m.SECONDS) * self.runs_of(m) for n, m in modules.items()}
        print(f"{len(modules)} rows, about {sum(expected.values()) / 60:.0f} minutes", file=sys.stderr)
        begin, done = time.monotonic(), 0
        for i, (name, module) in enumerate(modules.items()):
            left = sum(list(expected.values())[i:])
            if done > 60:
                left *= (time.monotonic() - begin) / done
            print(f"[{i + 1}/{len(modules)}] {(time.monotonic() - begin) / 60:.0f} minutes so far, about {left / 60:.0f} left", file=sys.stderr)
            self.row(name, module)
            done += expected[name]

    # --- the table ---

    def read_table(self):
        try:
            with open(os.path.join(self.out, "table.json")) as f:
                return json.load(f)["rows"]
        except FileNotFoundError:
            return {}

    def write_table(self):
        versions = {}
        for r in sorted(self.results.values(), key=lambda r: r["date"]):
            versions.update(r["versions"])
        versions.update(self.versions)
        whole = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "processor": processor(), "machine": self.machine, "runs": self.runs, "versions": versions,
                 "rows": self.results}
        for name, text in (("table.json", json.dumps(whole, indent=2) + "\n"), ("table.md", markdown(whole))):
            replace(os.path.join(self.out, name), text)


def replace(path, text):
    """The file as a whole, or as it was."""
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


KEPT = ("isa", "sgemm_flops", "int8_ops", "read_bytes", "copy_bytes")


def summary(runs):
    values = [r["value"] for r in runs]
    out = dict(runs[-1])
    out.update(value=statistics.median(values), low=min(values), high=max(values), n=len(values), values=values)
    for key in ("share", "peak_rss_bytes"):
        if runs[-1].get(key):
            out[key] = statistics.median(r[key] for r in runs)
    return out


def judged(wants, ours, ratio):
    """Of each thing that is wanted, whether it was reached."""
    met = {}
    for what, bound in wants.items():
        got = {"ratio": ratio, "share": ours.get("share"), "bytes": ours.get("peak_rss_bytes"), "most": ours["value"], "least": ours["value"]}[what]
        met[what] = got is not None and (got <= bound if what in ("bytes", "most") else got >= bound)
    return met


def number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.3g}"


def cell(s):
    if not s:
        return ""
    text = f"{number(s['value'])} ({number(s['low'])} to {number(s['high'])})" if s["n"] > 1 else number(s["value"])
    if s.get("peak_rss_bytes"):
        text += f", {s['peak_rss_bytes'] / 1e9:.2f} GB"
    if s.get("share"):
        text += f", {100 * s['share']:.0f} % of the limit"
    return text + (f", {s['note']}" if s.get("note") else "")


def wanted(c):
    words = {"ratio": "{:.3g} times", "share": "{:.0f} % of the limit", "bytes": "at most {:.3g} GB", "most": "at most {:.4g}", "least": "at least {:.4g}"}
    return "; ".join(words[w].format(b / 1e9 if w == "bytes" else 100 * b if w == "share" else b) + (": yes" if c["met"][w] else ": **no**") for w, b in c["wants"].items())


def markdown(t):
    m = t["machine"]
    lines = [f"{t['processor']}, {m['isa']}, {m['threads']} threads; f32 products {m['sgemm_flops'] / 1e9:.0f} GFLOP/s, int8 {m['int8_ops'] / 1e9:.0f}, reading "
             f"{m['read_bytes'] / 1e9:.0f} GB/s; {t['date']}; medians of {t['runs']} runs in turns (least to most); "
             + ", ".join(f"{k} {v}" for k, v in sorted(t["versions"].items())), "", "| work | kungfu | peer | ratio | wanted |", "|---|---|---|---|---|"]
    for name, r in sorted(t["rows"].items()):
        elsewhere = [f"on {r['processor']}"] if r["processor"] != t["processor"] else []
        when = "; ".join(([r["date"]] if r["date"] != t["date"] else []) + elsewhere)
        for c in r["cases"]:
            title = r["title"] + (f", {c['case']}" if c["case"] else "") + f" ({r['unit']}{'; ' + when if when else ''})"
            peer = f"{r['peer']}: {cell(c['peer'])}" if c["peer"] else ""
            ratio = f"{c['ratio']:.2f}" if c["ratio"] else ""
            lines.append(f"| {title} | {cell(c['kungfu'])} | {peer} | {ratio} | {wanted(c)} |")
        if "left_out" in r:
            lines.append(f"| {r['title']} | left out: {r['left_out']} | | | |")
    asked = [yes for r in t["rows"].values() for c in r["cases"] for yes in c["met"].values()]
    lines += ["", f"{sum(asked)} of {len(asked)} targets are reached."]
    return "\n".join(lines) + "\n"


def train(bench, method, data, *words, model=None, batch=2, length=512, steps=None, threads=None):
    """A run of `kungfu tune` for its speed: tokens/s after the first step, memory, share of the limit."""
    import tempfile
    with tempfile.TemporaryDirectory() as out:
        s = bench.kungfu("tune", model or bench.model, "--data", data, "--out", os.path.join(out, "run"), "--method", method, "--max-steps", str(steps or (4 if bench.quick else 5)),
                         "--max-length", str(length), "--per-device-train-batch-size", str(batch), "--save-steps", "0", "--warmup-ratio", "0",
                         "--lr-scheduler-type", "constant", "--threads", str(threads or bench.threads), *words)
    m = bench.machine
    seconds = s["flops"] / m["sgemm_flops"] + (s.get("int_ops") or 0) / m["int8_ops"]
    share = s["tokens_per_second"] * seconds / s["computed_tokens"] if threads in (None, bench.threads) else None
    return {"value": s["tokens_per_second"], "peak_rss_bytes": s["peak_rss_bytes"], "share": share, "loss": s["loss"]}


def step_rows(bench):
    """Two documents of 512 tokens, the same for both programs."""
    path = os.path.join(bench.cache, "rows.jsonl")
    if not os.path.exists(path):
        bench.peer("peft_step.py", "rows", bench.model, bench.cache, path)
    return path


def demo_data(bench):
    """The folder with the demo's rows."""
    data = os.path.join(bench.cache, "demo")
    if not os.path.exists(os.path.join(data, "test.jsonl")):
        subprocess.run([os.path.join(HERE, "..", "tools", "demo-data"), data], check=True, stdout=sys.stderr)
    return data


def peer_steps(bench):
    """Steps of a peer's training; the first is not timed."""
    return 2 if bench.quick else 3


def speed(bench, model, what, n, *words):
    """`kungfu bench` of one thing."""
    s = bench.kungfu("bench", model, f"--{what}", str(n), "--repetitions", "3", "--threads", str(bench.threads), *words)
    return {"value": s[f"{what}_tokens_per_second"], "share": s["roofline_share"][what]}
