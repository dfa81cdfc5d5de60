#!/usr/bin/env python3
"""The ladder of `kungfu adapt` by scikit-learn, transformers and PEFT: majority, tfidf, zero-shot, few-shot, probe, knn, IA3 and LoRA of the same rows, one
after the other, and what each takes of the processor beside what kungfu took for all of them.

    adapt_peer.py KEPT.json DIR MODEL.gguf CACHE THREADS [--rows N] [--steps N]     a JSON line for each way, then one for all

DIR is what adapt left of rows with choices that are the same for all (DIR/data has the sides); KEPT.json is what bench/adapt-tasks kept of that run, in which
each of these ways must have been measured. A question is read once and its choices on top of its keys and values. Trainings take as many steps of 8 rows
as kungfu's did (its plan capped them).
With --rows each way answers only the first N rows to choose by, and with --steps trainings stop after N; the seconds of all rows and steps are then said from
that, linearly, and the line has "scaled": true. Scores are of the rows that were answered."""
import argparse
import collections
import json
import os
import resource
import time

import peer
import peft_demo

BATCH, SHOTS = 8, 8


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class Ladder:
    def __init__(self, args):
        self.args = args
        self.train, self.choose = (peft_demo.read(os.path.join(args.dir, "data", name + ".jsonl")) for name in ("train", "choose"))
        self.looked = self.choose[:args.rows] if args.rows else self.choose
        with open(os.path.join(args.dir, "adapt.json"), encoding="utf-8") as f:
            self.notes = json.load(f).get("notes", {})
        self.results = []

    def time(self, way, work):
        """work returns (score, seconds made, seconds looked): those of the processor, of all rows and steps."""
        began, wall = cpu(), time.perf_counter()
        score, seconds = work()
        got = {"way": way, "score": score, "cpu": seconds, "measured_cpu": cpu() - began, "measured_seconds": time.perf_counter() - wall,
               "scaled": bool(self.args.rows or self.args.steps)}
        print(json.dumps(got), flush=True)
        self.results.append(got)

    def looking(self, answer):
        """The score of answer(rows), and its seconds for all rows."""
        began = cpu()
        score = answer(self.looked)
        return score, (cpu() - began) * len(self.choose) / len(self.looked)

    # --- without the model ---

    def majority(self):
        began = cpu()
        most = collections.Counter(r["gold"] for r in self.train).most_common(1)[0][0]
        return sum(r["gold"] == most for r in self.choose) / len(self.choose), cpu() - began

    def tfidf(self):
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        began = cpu()
        fitted = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LogisticRegression(max_iter=1000, C=10))
        fitted.fit([r["query"] for r in self.train], [r["gold"] for r in self.train])
        return fitted.score([r["query"] for r in self.choose], [r["gold"] for r in self.choose]), cpu() - began

    # --- by the model as it is ---

    def open(self):
        began = cpu()
        self.model, self.tokenizer = peer.load(self.args.model, self.args.cache, self.args.threads)
        return None, cpu() - began

    def zero_shot(self):
        return self.looking(lambda rows: peft_demo.accuracy(self.model, self.tokenizer, rows))

    def few_shot(self):
        before = "".join(f"{r['query']} {r['choices'][r['gold']]}\n\n" for r in self.train[:SHOTS])
        return self.looking(lambda rows: peft_demo.accuracy(self.model, self.tokenizer, [{**r, "query": before + r["query"]} for r in rows]))

    def states(self, rows):
        """Of each layer, after what is asked: [rows][layers][width]."""
        import torch
        out = []
        self.model.eval()
        for r in rows:
            with torch.no_grad():
                got = self.model(**self.tokenizer(r["query"], return_tensors="pt"), output_hidden_states=True)
            out.append(torch.stack([h[0, -1] for h in got.hidden_states]).numpy())
        return out

    def read(self):
        """Both sides' states, once for probe and knn; with --rows their share is read twice over, and scores come from all."""
        few = self.train[:4 * self.args.rows] if self.args.rows else self.train
        began = cpu()
        self.known, self.asked = self.states(few), self.states(self.looked)
        n = len(few) + len(self.looked)
        self.gold = [r["gold"] for r in few]
        return None, (cpu() - began) * (len(self.train) + len(self.choose)) / n

    def fitted(self, make):
        """The layer that is best in cross-validation, of every fourth."""
        import numpy
        from sklearn.model_selection import cross_val_score
        began, known, asked = cpu(), numpy.stack(self.known), numpy.stack(self.asked)
        layers = range(0, known.shape[1], 4)
        best = max(layers, key=lambda k: cross_val_score(make(), known[:, k], self.gold, cv=3).mean())
        score = make().fit(known[:, best], self.gold).score(asked[:, best], [r["gold"] for r in self.looked])
        return score, cpu() - began

    def probe(self):
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        return self.fitted(lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=400, C=0.1)))

    def knn(self):
        from sklearn.neighbors import KNeighborsClassifier
        return self.fitted(lambda: KNeighborsClassifier(n_neighbors=5, metric="cosine"))

    # --- trained ---

    def trained(self, way, config, rate):
        import peft
        import torch
        model, _ = peer.load(self.args.model, self.args.cache, self.args.threads)
        model = peft.get_peft_model(model, config)
        wanted = self.notes.get(way, {}).get("max_steps") or 2 * len(self.train) // BATCH
        steps = min(self.args.steps or wanted, wanted)
        docs = peft_demo.documents(self.tokenizer, self.train)
        params = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(params, lr=rate, weight_decay=0.0)
        model.train()
        began = cpu()
        for s in range(steps):
            if s == 1:
                began = cpu()  # the first one opens libraries
            at = [docs[(s * BATCH + i) % len(docs)] for i in range(BATCH)]
            model(**peft_demo.collate(at), use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(params, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        making = (cpu() - began) / max(steps - 1, 1) * wanted
        score, looking = self.looking(lambda rows: peft_demo.accuracy(model, self.tokenizer, rows))
        return score, making + looking

    def ia3(self):
        import peft
        return self.trained("ia3", peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "v_proj", "down_proj"],
                                                  feedforward_modules=["down_proj"]), 5e-3)

    def lora(self):
        import peft
        return self.trained("lora", peft.LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, lora_dropout=0.0, target_modules="all-linear"), 1e-3)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("kept", "dir", "model", "cache"):
        p.add_argument(name)
    p.add_argument("threads", type=int)
    p.add_argument("--rows", type=int, default=0)
    p.add_argument("--steps", type=int, default=0)
    args = p.parse_args()
    load = [os.getloadavg()[0]]
    ladder = Ladder(args)
    for way in ("majority", "tfidf", "open", "zero_shot", "few_shot", "read", "probe", "knn", "ia3", "lora"):
        ladder.time(way.replace("_", "-"), getattr(ladder, way))
    with open(args.kept, encoding="utf-8") as f:
        kept = json.load(f)
    ours, theirs = kept["cpu"], sum(r["cpu"] for r in ladder.results)
    scores = {x["row"]: x.get("score_choose") for x in kept["lines"] if "row" in x}
    load.append(os.getloadavg()[0])
    print(json.dumps({"theirs_cpu": theirs, "ours_cpu": ours, "times": theirs / ours, "ours": scores, "load": load, "load_ours": kept["load"],
                      "peak_rss_bytes": peer.peak_rss(), "versions": peer.versions()}))


if __name__ == "__main__":
    main()
