"""64 tokens in each of 16 streams beside each other, from an empty context, int8 arithmetic on both sides."""
from harness import Case, speed

TITLE, UNIT, PEER, SECONDS = "decoding, 16 streams", "tokens/s", "llama.cpp", 40


def cases(b):
    for kind in ("Q4_1", "Q4_0", "Q8_0", "Q4_K_M"):
        f = b.file(kind)
        yield Case(kind, lambda f=f: speed(b, f, "decode", 64, "--streams", "16", "--compute", "int8"),
                   lambda f=f: b.peer("llama_speed.py", "decode", f, b.threads, 64, 3, 16), {"ratio": 1.5})
