"""Rows of tasks in the layout that `kungfu eval --task-data` reads, from data sets as they were published.

usage: exam_rows.py FROM TO

FROM: a folder with what is there of hellaswag-val, piqa-raw, llm-adapters-commonsense-math, gsm8k, ifeval, and of
wikitext-2 in ../text beside it. TO: hellaswag/validation.jsonl and so on. lambada_openai's are made of wikitext's lines:
a passage and its last word, which is no benchmark but has its form."""

import json
import os
import re
import sys


def rows_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


def write(to, task, split, rows):
    os.makedirs(os.path.join(to, task), exist_ok=True)
    with open(os.path.join(to, task, split + ".jsonl"), "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"{task}/{split}.jsonl: {len(rows)} rows")


def hellaswag(path):
    for row in rows_of(path):
        activity, rest = row["ctx"].split(": ", 1)
        a, _, b = rest.rpartition(". ")
        yield {"activity_label": activity, "ctx_a": a + "." if a else "", "ctx_b": b, "endings": row["endings"],
               "label": str(row["label"])}


def piqa(path, labels):
    with open(labels, encoding="utf-8") as f:
        for row, label in zip(rows_of(path), f):
            yield {**{k: row[k] for k in ("goal", "sol1", "sol2")}, "label": int(label)}


def arc(path):
    for row in json.load(open(path, encoding="utf-8")):
        text = row["instruction"].split("\n\nAnswer format")[0].split(": ", 1)[1]
        question, answers = text.split("\n\n", 1)
        texts = [t.strip() for t in re.split(r"\s*Answer\d: ", answers) if t.strip()]
        yield {"question": question, "choices": {"text": texts, "label": list("ABCDE"[:len(texts)])},
               "answerKey": "ABCDE"[int(row["answer"][-1]) - 1]}


def winogrande(path):
    for row in json.load(open(path, encoding="utf-8")):
        text = row["instruction"].split(": ", 1)[1]
        sentence, options = text.split("\n\nOption1: ")
        first, second = options.split(" Answer format")[0].split(" Option2: ")
        yield {"sentence": sentence, "option1": first, "option2": second, "answer": row["answer"][-1]}


def pages(path):
    page = ""
    for line in open(path, encoding="utf-8"):
        if re.match(r" = [^=].*[^=] = $", line.rstrip("\n")) and page.strip():
            yield {"page": page}
            page = ""
        page += line
    yield {"page": page}


def main():
    source, to = sys.argv[1:3]

    def at(*names):
        path = os.path.join(source, *names)
        return path if os.path.exists(path) else None

    if path := at("hellaswag-val", "hellaswag_val.jsonl"):
        write(to, "hellaswag", "validation", list(hellaswag(path)))
    if path := at("piqa-raw", "valid.jsonl"):
        write(to, "piqa", "validation", list(piqa(path, at("piqa-raw", "valid-labels.lst"))))
    for task, name in ("arc_easy", "ARC-Easy"), ("arc_challenge", "ARC-Challenge"):
        if path := at("llm-adapters-commonsense-math", name + ".test.json"):
            write(to, task, "test", list(arc(path)))
        if path := at("llm-adapters-commonsense-math", name + ".train.json"):
            write(to, task, "train", list(arc(path)))
    if path := at("llm-adapters-commonsense-math", "winogrande.test.json"):
        write(to, "winogrande", "validation", list(winogrande(path)))
    for split in "train", "test":
        if path := at("gsm8k", split + ".jsonl"):
            write(to, "gsm8k", split, rows_of(path))
    if path := at("ifeval", "input_data.jsonl"):
        write(to, "ifeval", "train", rows_of(path))
    if path := at("..", "text", "wikitext-2", "test.txt"):
        write(to, "wikitext", "test", list(pages(path)))
        lines = [line.strip() for line in open(path, encoding="utf-8") if len(line.split()) > 40]
        write(to, "lambada_openai", "test", [{"text": " ".join(re.findall(r"\w+", line)[:40])} for line in lines])


if __name__ == "__main__":
    main()
