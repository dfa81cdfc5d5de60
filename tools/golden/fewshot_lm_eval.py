"""Few-shot prompts of rows as lm-eval makes them, from a local task YAML with `dataset_path: json`.

usage: fewshot_lm_eval.py EXAMPLES ROWS K SEED default|first_n [DESCRIPTION] > prompts.jsonl

Rows of query,choices,gold are a multiple_choice task, rows of prompt,completion a generate_until task. A line a row,
the prompt as a JSON string. Where EXAMPLES and ROWS are one file, a row is never its own example. Wanted is
lm-eval 0.4.13; nothing is loaded from elsewhere."""

import json
import os
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["HF_DATASETS_CACHE"] = tempfile.mkdtemp()

from lm_eval.api.task import ConfigurableTask  # noqa: E402


def task_of(examples, rows, k, seed, sampler, description):
    with open(rows, encoding="utf-8") as f:
        first = json.loads(f.readline())
    same = os.path.realpath(examples) == os.path.realpath(rows)
    config = {
        "task": "local",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"train": examples, "test": rows}},
        "test_split": "test",
        "fewshot_split": "test" if same else "train",
        "fewshot_config": {"sampler": sampler},
        "num_fewshot": k,
        "description": description,
        "metric_list": [{"metric": "acc"}],
    }
    if "choices" in first:
        config |= {"output_type": "multiple_choice", "doc_to_text": "query", "doc_to_choice": "choices",
                   "doc_to_target": "gold"}
    else:
        config |= {"output_type": "generate_until", "doc_to_text": "prompt", "doc_to_target": "completion",
                   "generation_kwargs": {"until": ["\n\n"]}, "metric_list": [{"metric": "exact_match"}]}
    task = ConfigurableTask(config=config)
    task.set_fewshot_seed(seed)
    return task


def main():
    examples, rows, k, seed, sampler = sys.argv[1:6]
    description = sys.argv[6] if len(sys.argv) > 6 else ""
    task = task_of(examples, rows, int(k), int(seed), sampler, description)
    for doc in task.eval_docs:
        print(json.dumps(task.fewshot_context(doc, num_fewshot=int(k)), ensure_ascii=False))


if __name__ == "__main__":
    main()
