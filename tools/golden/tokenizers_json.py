"""What a kind of tokenizer does with texts, for test_tokenizer: every test/golden/values/tokenizer_*.json is a case. Its
makers are tools/golden/tokenizer_NAME.py; this writes what they made:

reference   whose numbers these are
tokenizer   a tokenizer.json
texts       each with its ids (special tokens recognized, none added), what they are as text again, and the byte where each begins;
            not where the reference trims offsets (ByteLevel's, which leave a leading space out)
"""
import json

import tokenizers

HARD = ["", " ", "a", "the tree, the trees and a tree's root!", "It's not that far - isn't it?  \"Yes\"; (no): 1,234.5",
        "\tline one\r\n line\x01 two\x07 \u200b\ufffd end\n\n", "caf\u00e9 CAFE\u0301 \u00c5ngstr\u00f6m \u0130stanbul \u1e9e\u00df \u2126",
        "\u6771\u4eac tower \u3042\u3044 \ud55c\uae00 x\u4e2dy", "\u0906\u092a \u05e9\u05b8\u05dc\u05d5\u05b9\u05dd e\u0301\u0323",
        "x" * 120 + " " + "y" * 99 + " and on", "\U0001f44d\U0001f3fd ok \u2026 \u2014 \u00ab a \u00bb $5 + 3 = 8 ~ ^ `", "unseen zzz qqq 9876543210",
        "before [MASK] after [SEP][CLS] [mask]", "\u00a0no\u3000break\u2028space"]


def begins(text, encoding):
    """HF counts characters, we count bytes."""
    return [len(text[:a].encode()) for a, _ in encoding.offsets]


def write(path, tokenizer, texts=(), offsets=True):
    cases = []
    for text in [*HARD, *texts]:
        e = tokenizer.encode(text, add_special_tokens=False)
        case = {"text": text, "ids": e.ids, "decoded": tokenizer.decode(e.ids, skip_special_tokens=False)}
        cases.append({**case, "begins": begins(text, e)} if offsets else case)
    out = {"reference": "tokenizers " + tokenizers.__version__, "tokenizer": json.loads(tokenizer.to_str()), "texts": cases}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(out, f, ensure_ascii=True, separators=(",", ":"))
        f.write("\n")
