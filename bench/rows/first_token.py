"""From starting the program to its first token, a prompt of 20 tokens, the file in the page cache. Of ours the whole process counts; of llama.cpp
what comes after its library is loaded, which is to its advantage."""
from harness import Case

TITLE, UNIT, PEER, SECONDS, LESS = "start to first token, prompt of 20 tokens", "ms", "llama.cpp", 3, True
PROMPT = "one two three four five six seven eight nine ten one two three four five six seven eight nine ten"


def cases(b):
    def ours():
        seconds, s = b.timed("generate", b.model, "--raw", "-p", PROMPT, "--max-new-tokens", "1", "--threads", str(b.threads))
        return {"value": seconds * 1e3, "note": f"{s['prompt_tokens']} tokens, {s['compute']}"}

    def peer():
        return {"value": b.peer("llama_speed.py", "first", b.model, b.threads, 20)["value"]}
    yield Case("", ours, peer, {"ratio": 1.0, "most": 150})
