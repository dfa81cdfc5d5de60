#!/usr/bin/env python3
"""Makes test/golden/values/tokenizer_spm*.json: SentencePiece's BPE with byte fallback, as Llama 2 has it (a mark in front
of every text), as newer Mistrals (Metaspace, in front of the first piece alone) and as Gemma (none in front, words cut
behind spaces).

    python tools/golden/tokenizer_spm.py [test/golden/values]"""
import json
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tokenizers_json import HARD, write

TEXT = ["the tree and the trees stand by the root of it", "an apple is not far from the tree", "line after line he wrote it down; it was cold",
        "one two three four, five - six!", "before <s>after</s> both<s> sides", "  two  spaces   and three ", "caf\u00e9 or cafe, which is it?", *HARD]
MARK = "\u2581"


def make(path, normalizer, pre, decoder, unknown="<unk>"):
    bytes_ = [f"<0x{i:02X}>" for i in range(256)]
    t = Tokenizer(models.BPE(unk_token=unknown, fuse_unk=True, byte_fallback=True))
    t.normalizer, t.decoder = normalizer, decoder
    if pre:
        t.pre_tokenizer = pre
    special = ["<unk>", "<s>", "</s>"]
    t.train_from_iterator(TEXT, trainers.BpeTrainer(vocab_size=700, special_tokens=special + bytes_, show_progress=False, limit_alphabet=60))
    state = json.loads(t.to_str())  # bytes are pieces of the model, none that is split off
    state["added_tokens"] = [a for a in state["added_tokens"] if a["content"] in special]
    write(path, Tokenizer.from_str(json.dumps(state)), TEXT[:7])


folder = sys.argv[1] if len(sys.argv) > 1 else "test/golden/values"
space = normalizers.Replace(" ", MARK)
back = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
make(folder + "/tokenizer_spm.json", normalizers.Sequence([normalizers.Prepend(MARK), space]), None,
     decoders.Sequence([*back, decoders.Strip(" ", 1, 0)]))
make(folder + "/tokenizer_spm-metaspace.json", None, pre_tokenizers.Metaspace(MARK, "first", False),
     decoders.Sequence([*back, decoders.Strip(" ", 1, 0)]))
make(folder + "/tokenizer_spm-gemma.json", space, pre_tokenizers.Split(" ", "merged_with_previous"), decoders.Sequence(back))
