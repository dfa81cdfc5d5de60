#!/usr/bin/env python3
"""How long kungfu trains tokenizers, beside tokenizers and SentencePiece, each with one thread.

    PYTHON bench/tokenizer_train.py KUNGFU FOLDER [--vocab-size N] [--repeats R]

FOLDER holds text files. Each run is a process of its own, the start of Python with its imports taken off; the best of R
counts. On a quiet machine."""
import argparse, glob, os, resource, subprocess, sys, tempfile, time

THEIRS = {
    "bpe": """
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
t = Tokenizer(models.BPE()); t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
run = lambda: t.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=V, special_tokens=["<|endoftext|>"], show_progress=False,
                                    initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
""",
    "wordpiece": """
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
t = Tokenizer(models.WordPiece(unk_token="[UNK]")); t.normalizer = normalizers.BertNormalizer(); t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
run = lambda: t.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=V, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
                                    show_progress=False))
""",
}
for kind, name in (("sentencepiece-bpe", "bpe"), ("unigram", "unigram")):
    THEIRS[kind] = f"""
import io, sentencepiece as spm
lines = [x for text in texts for x in text.split("\\n")]
run = lambda: spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=io.BytesIO(), model_type="{name}", vocab_size=V, num_threads=1,
                                             minloglevel=2, hard_vocab_limit=False)
"""
READ = """
import sys, time, resource
V = int(sys.argv[1]); texts = [open(f, encoding="utf-8", newline="").read() for f in sys.argv[2:]]
"""
TELL = """
a, u = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
run()
print(time.perf_counter() - a, resource.getrusage(resource.RUSAGE_SELF).ru_utime - u)
"""


def ours(kind):
    with tempfile.TemporaryDirectory() as out:
        a, u = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run([args.kungfu, "tokenizer", "train", args.folder, "--out", out + "/t", "--model-type", kind, "--vocab-size", str(args.vocab_size),
                        "--threads", "1", "--ledger", "off", "--gas", "off", "--quiet"], check=True, capture_output=True)
        return time.perf_counter() - a, resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - u


def theirs(kind):
    env = dict(os.environ, RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    out = subprocess.run([sys.executable, "-c", READ + THEIRS[kind] + TELL, str(args.vocab_size), *files], check=True, capture_output=True, text=True, env=env)
    return tuple(map(float, out.stdout.split()[-2:]))


parser = argparse.ArgumentParser()
parser.add_argument("kungfu")
parser.add_argument("folder")
parser.add_argument("--vocab-size", type=int, default=16384)
parser.add_argument("--repeats", type=int, default=3)
args = parser.parse_args()
files = [f for f in sorted(glob.glob(args.folder + "/**", recursive=True)) if os.path.isfile(f)]
print(f"{sum(map(os.path.getsize, files)) / 1e6:.1f} MB, {args.vocab_size} entries, one thread; seconds, of the processor in brackets")
for kind in THEIRS:
    a, b = (min(run(kind) for _ in range(args.repeats)) for run in (ours, theirs))
    print(f"{kind:18} kungfu {a[0]:7.2f} ({a[1]:6.2f})  there {b[0]:7.2f} ({b[1]:6.2f})  {b[0] / a[0]:5.1f} times as fast", flush=True)
