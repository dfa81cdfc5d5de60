#!/usr/bin/env python3
"""tokenizer_sentencepiece: two small models of SentencePiece (BPE with bytes, Unigram), and what it makes of some lines.

usage: VENV/bin/python tools/golden/tokenizer_sentencepiece.py OUT < TEXT      (needs sentencepiece; a few hundred lines of any English)

Writes OUT/{bpe,unigram}.model, OUT/lines and OUT/{bpe,unigram}.ids, a line of ids for each line.
"""
import os
import sys

import sentencepiece

LINES = ["Hello world", " two  spaces ", "a<sep>b", "w\u00f6rld \u4f60\u597d", "a\tb", "\ufb01 \u2163", "First Citizen: speak, speak.", "\u2581a\u2581b", "<0x41>", "  ", "it's 12 345"]


def main():
    out, text = sys.argv[1], sys.stdin.read().split("\n")
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "lines"), "w") as f:
        f.write("".join(x + "\n" for x in LINES))
    for kind in ("bpe", "unigram"):
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_prefix=os.path.join(out, kind), model_type=kind, vocab_size=616 if kind == "bpe" else 360,
                                                 byte_fallback=kind == "bpe", user_defined_symbols=["<sep>"], normalization_rule_name="identity",
                                                 remove_extra_whitespaces=kind == "unigram", hard_vocab_limit=False, minloglevel=2)
        os.remove(os.path.join(out, kind + ".vocab"))
        model = sentencepiece.SentencePieceProcessor(model_file=os.path.join(out, kind + ".model"))
        with open(os.path.join(out, kind + ".ids"), "w") as f:
            f.write("".join(" ".join(map(str, model.encode(x))) + "\n" for x in LINES))


if __name__ == "__main__":
    main()
