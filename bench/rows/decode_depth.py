"""32 single tokens after 4,096 others, the keys and values in f16 on both sides; int8 arithmetic."""
from harness import Case, speed

TITLE, UNIT, PEER, SECONDS = "decoding after 4,096 tokens, one stream", "tokens/s", "llama.cpp", 20
DEPTH = 4096


def cases(b):
    for kind in ("Q4_1", "Q8_0"):
        f = b.file(kind)
        yield Case(kind, lambda f=f: {"value": speed(b, f, "decode", 32, "--depth", str(DEPTH), "--compute", "int8")["value"]},
                   lambda f=f: b.peer("llama_speed.py", "depth", f, b.threads, 32, 3, DEPTH), {"ratio": 2.0})
