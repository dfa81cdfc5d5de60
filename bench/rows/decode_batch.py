"""64 tokens in each of 16 streams beside each other, from an empty context, int8 arithmetic on both sides."""
from harness import speed

TITLE, UNIT, PEER, TARGET = "decoding, 16 streams", "tokens/s", "llama.cpp", 1.5


def cases(b):
    for kind in ("Q4_1", "Q4_0"):
        f = b.file(kind)
        yield kind, lambda f=f: speed(b, f, "decode", 64, "--streams", "16", "--compute", "int8"), lambda f=f: b.peer("llama_speed.py", "decode", f, b.threads, 64, 3, 16)
