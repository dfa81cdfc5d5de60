"""Which ids transformers gives to tokens that the files beside a tokenizer.json name, for test_tokenizer
(test/golden/values/named_tokens.json). Configurations are drawn by lot over the golden Llama's tokenizer:

    python tools/golden/tokens_named.py test/golden

reference   whose numbers these are
cases       each with the files that it writes (tokenizer_config.json, special_tokens_map.json, added_tokens.json), the
            number of tokens, ids of the named ones (null: none), and texts with their ids (none put around them)
"""
import json
import os
import random
import shutil
import sys
import tempfile

import transformers
from transformers import AutoTokenizer

OUT = sys.argv[1] if len(sys.argv) > 1 else "test/golden"
NAMED = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"]
NEW = ["<n0>", "<n1>", "<n2>", "[n3]", "n4", "<n5 >"]
OLD = ["<|begin|>", "<|end|>", "<|endoftext|>", "it", "a"]
TEXTS = ["<n0><n1>", "it <n2> at [n3]", "n4an4  <n5 > <|end|> x", "a it [n3]  n4 <n0>"]


def attributes(r, text):
    return {"content": text, "lstrip": r.random() < .3, "rstrip": r.random() < .3, "normalized": r.random() < .5,
            "single_word": r.random() < .2, "special": r.random() < .5}


def token(r):
    text = r.choice(NEW + OLD)
    return text if r.random() < .7 else {**attributes(r, text), "__type": "AddedToken"}


def draw(r):
    config = {k: token(r) for k in NAMED if r.random() < .3}
    files = {"tokenizer_config.json": {**config, "tokenizer_class": "PreTrainedTokenizerFast"}}
    config = files["tokenizer_config.json"]
    if r.random() < .3:
        config[r.choice(["image_token", "boi_token"])] = r.choice([r.choice(NEW), {"content": r.choice(NEW)}])
    if r.random() < .3:
        config["extra_special_tokens"] = r.sample(NEW, 2) if r.random() < .5 else {"video_token": r.choice(NEW)}
    if r.random() < .3:
        config["additional_special_tokens"] = r.sample(NEW + OLD, 2)
    if r.random() < .4:
        texts = r.sample(NEW + OLD, 3)
        ids = sorted(r.sample(range(301, 320), 3), key=lambda _: r.random())
        config["added_tokens_decoder"] = {str(i): attributes(r, t) for i, t in zip(ids, texts)}
    if r.random() < .4:
        files["special_tokens_map.json"] = {k: token(r) for k in NAMED if r.random() < .3}
        for value in files["special_tokens_map.json"].values():
            if isinstance(value, dict):
                del value["__type"]
        if r.random() < .5:
            files["special_tokens_map.json"][r.choice(["image_token", "boi_token"])] = {"content": r.choice(NEW)}
        if r.random() < .5:
            files["special_tokens_map.json"]["extra_special_tokens"] = r.sample(NEW, 2)
    if r.random() < .3:
        files["added_tokens.json"] = {t: i for t, i in zip(r.sample(NEW, 2), r.sample(range(301, 320), 2))}
    return files


def answer(files):
    with tempfile.TemporaryDirectory() as d:
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(f"{OUT}/llama/{name}", d)
        for name, content in files.items():
            with open(f"{d}/{name}", "w", encoding="utf-8") as f:
                json.dump(content, f)
        t = AutoTokenizer.from_pretrained(d)
    named = {k: None if getattr(t, k) is None else t.convert_tokens_to_ids(getattr(t, k)) for k in ("bos_token", "eos_token", "pad_token")}
    return {"files": files, "size": max(t.get_vocab().values()) + 1, "named": named,
            "texts": [{"text": x, "ids": t(x, add_special_tokens=False)["input_ids"]} for x in TEXTS]}


def main():
    r, cases = random.Random(7), []
    while len(cases) < 80:
        files = draw(r)
        try:
            cases.append(answer(files))
        except (TypeError, ValueError):     # a configuration that transformers does not take either
            continue
    path = f"{OUT}/values/named_tokens.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"reference": "transformers " + transformers.__version__, "cases": cases}, f, separators=(",", ":"))
        f.write("\n")
    os.chmod(path, 0o644)


if __name__ == "__main__":
    main()
