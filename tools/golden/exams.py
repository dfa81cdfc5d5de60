"""Samples of lm-eval 0.4.13 on a tiny model: test/golden/exams/samples.json, by the task files beside it.

usage: exams.py test/golden/llama test/golden/exams

max_length is one less than the model's positions, as the last token of a document is only predicted there."""

import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp()
NAMES = "choices", "inputs", "words", "pages", "answers", "more"


def main():
    model, folder = (os.path.abspath(x) for x in sys.argv[1:3])
    os.chdir(folder)
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=1, max_length=127)
    found = simple_evaluate(model=lm, tasks=["all", "words", "pages", "answers"], bootstrap_iters=1000, log_samples=True,
                            task_manager=TaskManager(include_path=folder, include_defaults=False))
    keep = "doc_id", "filter", "filtered_resps", "doc_hash", "prompt_hash", "target_hash"
    out = {"results": {name: {k: v for k, v in row.items() if "," in k and isinstance(v, float)}
                       for name, row in found["results"].items()}, "samples": {}}
    for name, samples in found["samples"].items():
        out["samples"][name] = [{**{k: s[k] for k in keep}, "metrics": {m: s[m] for m in s["metrics"]}}
                                for s in samples]
    with open("samples.json", "w", encoding="utf-8") as f:
        json.dump(out, f, indent=1, default=lambda x: x.tolist() if hasattr(x, "tolist") else str(x))
        f.write("\n")


if __name__ == "__main__":
    main()
