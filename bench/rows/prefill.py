"""A prompt of 512 tokens, the head for the last, from files of five storage types; int8 arithmetic on both sides where the weights are quantized."""
from harness import Case, speed

TITLE, UNIT, PEER, SECONDS = "prompt of 512 tokens", "tokens/s", "llama.cpp", 50
KINDS = ["Q4_1", "Q4_0", "Q8_0", "Q4_K_M", "F32"]


def arithmetic(kind):
    return "--compute", "f32" if kind == "F32" else "int8"


def cases(b):
    for kind in KINDS:
        f = b.file(kind)
        yield Case(kind, lambda f=f, kind=kind: speed(b, f, "prefill", 512, *arithmetic(kind)),
                   lambda f=f: b.peer("llama_speed.py", "prefill", f, b.threads, 512, 3), {"share": 0.85} if kind == "F32" else {"ratio": 1.8})
