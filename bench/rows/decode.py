"""64 single tokens from an empty context, from files of five storage types; int8 arithmetic on both sides where the weights are quantized."""
from harness import speed

from rows.prefill import KINDS, arithmetic

TITLE, UNIT, PEER, TARGET = "decoding, one stream", "tokens/s", "llama.cpp", 1.3


def cases(b):
    for kind in KINDS:
        f = b.file(kind)
        yield kind, lambda f=f, kind=kind: speed(b, f, "decode", 64, *arithmetic(kind)), lambda f=f: b.peer("llama_speed.py", "decode", f, b.threads, 64, 3)
