#!/usr/bin/env python3
"""Makes test/golden/values/tokenizer_unigram*.json: SentencePiece's unigram model, as T5 has it (a map of characters, words
between spaces, Metaspace), and as XLM-RoBERTa (runs of spaces become one, byte fallback).

    python tools/golden/tokenizer_unigram.py [test/golden/values]"""
import base64
import json
import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import charsmap
from tokenizers_json import HARD, write

TEXT = ["the tree and the trees stand by the root of it", "an apple is not far from the tree", "line after line he wrote it down; it was cold",
        "one two three four, five - six!", "  two  spaces   and three ", "o\ufb03ce \u2460 \uff21\uff22 e\u0301a\u0308", "caf\u00e9 or cafe, which is it?", *HARD]
MAP = {"\ufb01": "fi", "\ufb03": "ffi", "\u2460": "1", "\u2461": "2", "\uff21": "A", "\uff22": "B", "e\u0301": "\u00e9", "a\u0308": "\u00e4",
       "\u00a0": " ", "\u3000": " ", "\t": " ", "\n": " ", "\r": " ", "\u200b": "", "\x01": "", "\u1e9e": "\u00df"}


def make(path, normalizer, pre, fallback):
    t = Tokenizer(models.Unigram())
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, pre, decoders.Metaspace()
    t.train_from_iterator(TEXT * 3, trainers.UnigramTrainer(vocab_size=150, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>",
                                                            show_progress=False))
    state = json.loads(t.to_str())
    if fallback:
        state["model"]["byte_fallback"] = True
        state["model"]["vocab"] += [[f"<0x{i:02X}>", -20.0] for i in range(256)]
    write(path, Tokenizer.from_str(json.dumps(state)), TEXT[:7])


folder = sys.argv[1] if len(sys.argv) > 1 else "test/golden/values"
precompiled = normalizers.Precompiled(base64.b64decode(charsmap.build(MAP)))
make(folder + "/tokenizer_unigram.json", precompiled,
     pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]), False)
make(folder + "/tokenizer_unigram-bytes.json",
     normalizers.Sequence([normalizers.Strip(False, True), normalizers.Replace(Regex(" {2,}"), " "),
                           normalizers.NFKC(), normalizers.Lowercase()]), pre_tokenizers.Metaspace(), True)
