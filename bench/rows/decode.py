"""64 single tokens from an empty context, from files of five storage types; int8 arithmetic on both sides where the weights are quantized."""
from harness import Case, speed

from rows.prefill import KINDS, arithmetic

TITLE, UNIT, PEER, SECONDS = "decoding, one stream", "tokens/s", "llama.cpp", 45


def cases(b):
    for kind in KINDS:
        f = b.file(kind)
        wants = {"ratio": 1.0 if kind == "F32" else 1.6, **({"share": 0.75} if kind in ("Q4_0", "Q8_0") else {})}
        yield Case(kind, lambda f=f, kind=kind: speed(b, f, "decode", 64, *arithmetic(kind)),
                   lambda f=f: b.peer("llama_speed.py", "decode", f, b.threads, 64, 3), wants)
