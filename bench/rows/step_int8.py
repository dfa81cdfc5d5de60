"""The LoRA step with int8 arithmetic on the frozen weights, beside our own f32: no other program has it on a processor."""
from harness import Case, step_rows, train

TITLE, UNIT, PEER, SECONDS = "LoRA step, int8 on the frozen base", "tokens/s", "kungfu f32", 25


def cases(b):
    rows = step_rows(b)
    yield Case("", lambda: train(b, "lora", rows, "--compute", "int8"), lambda: train(b, "lora", rows, "--compute", "f32"),
               {"ratio": 1.5 if "vnni" in b.machine["isa"] else 1.4})
