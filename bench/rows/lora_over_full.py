"""How much faster LoRA is than full fine-tuning, of the same documents: the peer's own ratio stands beside ours."""
from harness import step_rows, train

TITLE, UNIT, PEER, TARGET = "LoRA over full fine-tuning, 2 x 512, f32", "ratio", "PEFT", 1.4


def cases(b):
    rows = step_rows(b)

    def peer():
        lora, full = (b.peer("peft_step.py", m, b.model, b.cache, rows, 3, b.threads)["tokens_per_second"] for m in ("lora", "full"))
        return {"value": lora / full}
    yield "", lambda: {"value": train(b, "lora", rows)["value"] / train(b, "full", rows)["value"]}, peer
