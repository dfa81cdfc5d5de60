"""How much faster LoRA is than full fine-tuning, of the same documents: the peer's own ratio stands beside ours. From the runs of the step rows, where
they were made; only the demo's job, whose rows share their beginning, is trained here."""
import os

from harness import Case, Skip, demo_data, train

TITLE, UNIT, PEER, SECONDS, AFTER = "LoRA over full fine-tuning", "ratio", "PEFT", 25, ["step_lora", "step_full", "step_int8"]


def cases(b):
    def kept(row, who):
        case = next(iter(b.results.get(row, {}).get("cases", [])), None)
        if not case:
            raise Skip(f"the row {row} comes first")
        return case[who]["values"]

    def turns(lora, who):
        pairs = list(zip(kept(lora, who), kept("step_full", who)))
        runs = iter(range(10 ** 6))
        return lambda: {"value": (lambda pair: pair[0] / pair[1])(pairs[next(runs) % len(pairs)])}
    yield Case("2 x 512, f32", turns("step_lora", "kungfu"), turns("step_lora", "peer"), {"least": 1.4})
    yield Case("2 x 512, int8", turns("step_int8", "kungfu"), None, {"least": 1.9})

    rows = os.path.join(demo_data(b), "train.jsonl")

    def demo():
        lora, full = (train(b, m, rows, *w, batch=16, steps=8)["value"] for m, w in (("lora", ["--compute", "int8"]), ("full", [])))
        return {"value": lora / full}
    yield Case("the demo's rows, int8", demo, None, {"least": 2.3})
