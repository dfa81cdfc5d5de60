"""The LoRA step with int8 arithmetic on the frozen weights, beside our own f32: no other program has it on a processor."""
from harness import Skip, step_rows, train

TITLE, UNIT, PEER, TARGET = "LoRA step, int8 on the frozen base", "tokens/s", "kungfu f32", 1.3


def cases(b):
    rows = step_rows(b)
    try:
        train(b, "lora", rows, "--compute", "int8", steps=1)
    except RuntimeError:
        raise Skip("this build trains in f32 alone") from None
    yield "", lambda: train(b, "lora", rows, "--compute", "int8"), lambda: train(b, "lora", rows, "--compute", "f32")
