#!/usr/bin/env python3
"""Makes test/golden/training/*.json: what tokenizers and SentencePiece train from small texts: pieces, merges, scores.

    python tools/golden/tokenizer_training.py [test/golden/training]

A file is {texts, cases: [{type, vocab_size, special, options, pieces, merges | scores}]}, options by kungfu's names."""
import io, json, os, random, sys

import sentencepiece as spm
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

PROSE = ["The miller's daughter counted the sacks by the door, and the sacks that were not there she counted too.",
         "When the river rose, nobody rowed; when it fell, everybody had always known that it would fall.",
         "He said that he'd come at nine, we said we'll wait, and they're still waiting: it's ten past twelve now.",
         "A counter counts what it is told to count; whoever tells it counts for more than the counter does.",
         "Rain on the roof, rain on the road, rain in the barrel, and in the evening the sound of rain remembered.",
         "In 1987 there were 1024 of them, in 1988 there were 2048, and by 1990 nobody could say how many any more.",
         "Unhappily the unhurried undertaker underestimated the understanding of the undergraduates.",
         "Der Müller zählte die Säcke, und größer als die größte Größe war nur die Größe der Größten.",
         "Le meunier comptait les sacs près de la porte, déjà fermée, où l'été s'était arrêté.",
         "Мельник считал мешки у двери, а дверь считала мельников, которые считали мешки.",
         "水車小屋の娘は戸口の袋を数え、そこにない袋も数えた。川が上がると誰も漕がなかった。",
         "磨坊主的女儿数着门口的袋子，也数着不在那里的袋子。河水涨了，没有人划船。"]
CODE = ["for (int i = 0; i < n; i++) {\n\tsum += a[i] * b[i];\n\tcount++;\n}\n\nreturn sum / count;\n",
        "def count(words):\n    counts = {}\n    for word in words:\n        counts[word] = counts.get(word, 0) + 1\n    return counts\n",
        "# Title\n\n- one  two\n- three\n\n---------\n\n    indented\n=====\n aaaaaaa aaaaaaaaaa aaa aa\n"]
TEXTS = PROSE + CODE + ["".join(random.Random(i).choices(PROSE, k=3)) for i in range(6)]
ASCII = [t for t in PROSE if t.isascii()]
# lines of which normalizing leaves nothing: the last of the others take their places, and which is last then matters
BLANK = [" ", "the counter counted", "\t", *PROSE, "\u3000\u200b ", "\x01", "the miller remembered the counters",
         "the sacks and the barrels counted", "\u200b", "the door and the evening remembered"]
SPECIAL = ["<|endoftext|>", "<|pad|>"]


def pieces(t):
    vocab = t.get_vocab(with_added_tokens=False)
    return [w for w, _ in sorted(vocab.items(), key=lambda x: x[1])]


def bpe(vocab_size, special=(), texts=TEXTS, pre="gpt2", normalizer="none", lines=False, prefix_space=False, byte_alphabet=True, **how):
    t = Tokenizer(models.BPE())
    t.normalizer = {"none": None, "nfc": normalizers.NFC(), "nfkc": normalizers.NFKC()}[normalizer]
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    feed = [x for text in texts for x in text.splitlines(keepends=True)] if lines else texts
    if byte_alphabet:
        how["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(special), show_progress=False, **how)
    t.train_from_iterator(feed, trainer)
    how.pop("initial_alphabet", None)
    options = {k.replace("_", "-"): str(v) for k, v in how.items()}
    options |= {"normalizer": normalizer, "lines": str(lines).lower(), "add-prefix-space": str(prefix_space).lower(),
                "byte-alphabet": str(byte_alphabet).lower()}
    model = json.loads(t.to_str())["model"]
    return {"type": "bpe", "vocab_size": vocab_size, "special": list(special), "options": options, "pieces": pieces(t),
            "merges": [" ".join(m) for m in model["merges"]]}


def steady(make, *a, **k):
    """What their order of threads and hashes has no part in: the same in ten runs."""
    first = make(*a, **k)
    assert all(make(*a, **k) == first for _ in range(10)), (a, k)
    return first


def wordpiece(vocab_size, texts=TEXTS, lowercase=True, **how):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # ids of "##x" come in an order of chance there, and ties go by ids: naming them first in ours makes it the same
    chars = set()
    for text in texts:
        for word, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(text)):
            chars |= set(word[1:])
    letters = set(c for text in texts for word, _ in t.pre_tokenizer.pre_tokenize_str(t.normalizer.normalize_str(text)) for c in word)
    first = special + sorted(letters) + ["##" + c for c in sorted(chars)]
    t.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=first, show_progress=False, **how))
    options = {k.replace("_", "-"): str(v) for k, v in how.items()} | {"lowercase": str(lowercase).lower()}
    return {"type": "wordpiece", "vocab_size": vocab_size, "special": special, "options": options, "pieces": pieces(t)}


def sentencepiece(kind, vocab_size, special=(), texts=TEXTS, **how):
    """In one thread, whose order of sums is kungfu's."""
    model = io.BytesIO()
    lines = [x for text in texts for x in text.split("\n")]
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, model_type=kind, vocab_size=vocab_size, num_threads=1,
                                   control_symbols=list(special), minloglevel=2, **how)
    p = spm.SentencePieceProcessor(model_proto=model.getvalue())
    options = {{"max_sentencepiece_length": "max-sentencepiece-length"}.get(k, k).replace("_", "-"): str(v).lower() for k, v in how.items()}
    out = {"type": {"bpe": "sentencepiece-bpe"}.get(kind, kind), "vocab_size": vocab_size, "special": list(special), "options": options,
           "pieces": [p.id_to_piece(i) for i in range(len(p))]}
    return out if kind == "bpe" else out | {"scores": [p.get_score(i) for i in range(len(p))]}


folder = sys.argv[1] if len(sys.argv) > 1 else "test/golden/training"
os.makedirs(folder, exist_ok=True)


def write(name, texts, cases):
    with open(f"{folder}/{name}.json", "w") as f:
        json.dump({"texts": texts, "cases": cases}, f, ensure_ascii=False, indent=0)
        f.write("\n")


write("bpe", TEXTS, [steady(bpe, 600, SPECIAL), steady(bpe, 400, min_frequency=4), steady(bpe, 330, ["a", "<x>"], byte_alphabet=False),
                     steady(bpe, 420, max_token_length=5), steady(bpe, 150, byte_alphabet=False, limit_alphabet=60),
                     steady(bpe, 380, lines=True, prefix_space=True, normalizer="nfkc"),
                     steady(bpe, 5000, SPECIAL, min_frequency=2)])
write("wordpiece", TEXTS, [steady(wordpiece, 400), steady(wordpiece, 500, lowercase=False, min_frequency=2)])
write("sentencepiece-bpe", TEXTS, [sentencepiece("bpe", 400, character_coverage=1.0), sentencepiece("bpe", 330, SPECIAL, character_coverage=0.985),
                                   sentencepiece("bpe", 600, character_coverage=1.0, byte_fallback=True, split_digits=True),
                                   sentencepiece("bpe", 500, character_coverage=0.9995, split_by_unicode_script=False, split_by_number=False,
                                                 normalization_rule_name="identity", max_sentencepiece_length=6, add_dummy_prefix=False)])
write("unigram", TEXTS, [sentencepiece("unigram", 250, character_coverage=1.0), sentencepiece("unigram", 215, SPECIAL, character_coverage=0.985),
                         sentencepiece("unigram", 500, character_coverage=1.0, byte_fallback=True, num_sub_iterations=3, shrinking_factor=0.9)])
write("unigram-blank", BLANK, [sentencepiece("unigram", 220, texts=BLANK, character_coverage=1.0)])
