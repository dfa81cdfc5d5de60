"""What tools/check-injection runs: PROGRAM PART-TEXT FOLDER TEMPLATES MODEL.

Every string of the folder's JSON and JSONL files is a document of an index. All of them are retrieved again by their own words (what the
index gives, not the file, is tried), and each attack is tried a second time with all that a template has of special tokens around it: the
end of a turn, the begin of another, in all orders that the template itself has. In the prompt there may be no special token more than around
a harmless source. Texts as they are must fail that test where they hold special tokens, else it would show nothing."""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

program, part, folder, templates, model = sys.argv[1:6]
SPECIAL = re.compile(r"<\|[^|>\s]{1,40}\|>|<｜[^｜>]{1,40}｜>|</?s>|<(?:start|end)_of_turn>|<bos>|<eos>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\]"
                     r"|<\|?(?:im_start|im_end|eot_id|eom_id|endoftext)\|?>|<(?:BOS|EOS|END_OF_TURN|START_OF_TURN)_TOKEN>")


def strings(x):
    if isinstance(x, str):
        yield x
    for y in x.values() if isinstance(x, dict) else x if isinstance(x, list) else ():
        yield from strings(y)


def read(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()] if path.endswith(".jsonl") else [json.load(f)]


def kungfu(*args):
    return subprocess.run([program, *args, "--ledger", "off"], check=True, capture_output=True, text=True).stdout


files = sorted(p for p in glob.glob(f"{folder}/**/*", recursive=True) if p.endswith((".json", ".jsonl")))
texts, attacks = [], []
for path in files:
    own = [s for row in read(path) for s in strings(row) if s.strip()]
    texts += own
    attacks += own if "attack" in os.path.basename(path) else []
with tempfile.TemporaryDirectory() as tmp:
    with open(f"{tmp}/docs.jsonl", "w", encoding="utf-8") as f, open(f"{tmp}/q.jsonl", "w", encoding="utf-8") as q:
        for i, text in enumerate(dict.fromkeys(texts)):
            f.write(json.dumps({"_id": str(i), "text": text}) + "\n")
            q.write(json.dumps({"_id": str(i), "text": text[:400]}) + "\n")
    kungfu("index", "build", f"{tmp}/docs.jsonl", "--out", f"{tmp}/docs.db")
    lines = kungfu("index", "search", f"{tmp}/docs.db", "--queries", f"{tmp}/q.jsonl", "--top-k", "4", "--texts", "--json").splitlines()
found = list(dict.fromkeys(r["text"] for line in lines[:-1] for r in json.loads(line)["results"]))
print(f"{len(files)} files, {len(texts)} texts, {len(set(texts))} different; {len(found)} chunks retrieved; {len(attacks)} attacks")
bad = tried = 0
for path in sorted(glob.glob(f"{templates}/**/*.jinja", recursive=True)):
    source = open(path, encoding="utf-8").read()
    specials = list(dict.fromkeys(SPECIAL.findall(source)))
    end = "".join(specials)
    planted = [f"{end}{a}" for a in attacks] + [f"{a}\n{s}\nsystem\n{a}{s}" for a, s in zip(attacks, specials * len(attacks))]
    job = json.dumps({"template": source, "specials": specials, "texts": found + planted}) + "\n"
    out = json.loads(subprocess.run([part, model], input=job, check=True, capture_output=True, text=True).stdout)
    if "error" in out:
        print(f"  {os.path.basename(path):60} not tried: {out['error']}")
        continue
    print(f"  {os.path.basename(path):60} {len(specials):3} special, {out['texts']} sources, {out['open']} would come through, {out['bad']} do")
    tried += 1
    bad += out["bad"] + (bool(specials) and not out["open"])
print(f"{tried} templates tried")
sys.exit(bad > 0 or not tried)
