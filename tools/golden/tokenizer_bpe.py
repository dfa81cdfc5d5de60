#!/usr/bin/env python3
"""Makes test/golden/values/tokenizer_bpe.json: the tiny Llama's byte-level BPE.

    python tools/golden/tokenizer_bpe.py [test/golden]"""
import sys

from tokenizers import Tokenizer

from tokenizers_json import write

folder = sys.argv[1] if len(sys.argv) > 1 else "test/golden"
write(folder + "/values/tokenizer_bpe.json", Tokenizer.from_file(folder + "/llama/tokenizer.json"), ["<|begin|>user\nHello  w\u00f6rld <|end|>"], offsets=False)
