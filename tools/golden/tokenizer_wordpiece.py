#!/usr/bin/env python3
"""Makes test/golden/values/tokenizer_wordpiece*.json: BERT's tokenizer, without capitals and accents and with them.

    python tools/golden/tokenizer_wordpiece.py [test/golden/values]"""
import sys

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from tokenizers_json import HARD, write

TEXT = ["the tree and the trees stand by the root of it", "an apple is not far from the tree", "line after line he wrote it down; it was cold",
        "one two three four, five - six!", "caf\u00e9 or cafe, which is it?", "Yes and No, The and A", "it's isn't don't they're we've I'm", *HARD]


def make(path, lowercase, cleanup):
    t = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.decoder = decoders.WordPiece(prefix="##", cleanup=cleanup)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t.train_from_iterator(TEXT, trainers.WordPieceTrainer(vocab_size=220, special_tokens=special, show_progress=False, limit_alphabet=90))
    t.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                     special_tokens=[(x, t.token_to_id(x)) for x in ("[CLS]", "[SEP]")])
    write(path, t, TEXT[:7])


folder = sys.argv[1] if len(sys.argv) > 1 else "test/golden/values"
make(folder + "/tokenizer_wordpiece.json", True, True)
make(folder + "/tokenizer_wordpiece-cased.json", False, False)
