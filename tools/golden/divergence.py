"""Golden values of divergence.c: KL(base || tuned) over the learnt tokens of documents, in float64, of the tiny Llama and PEFT's
adapter llama-lora.

    python tools/golden/divergence.py
"""
import pathlib

import exact
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"


def load():
    return AutoModelForCausalLM.from_pretrained(GOLDEN / "llama", dtype=torch.float32).eval().double()


d = load_file(GOLDEN / "values/documents.safetensors")
ids, learn = d["ids"].tolist(), d["learn"].tolist()
base, tuned = load(), PeftModel.from_pretrained(load(), GOLDEN / "llama-lora").eval().double()
at, sums = 0, []
with exact.float64(), torch.no_grad():
    for n in d["lengths"].tolist():
        doc, taken = ids[at:at + n], torch.tensor(learn[at + 1:at + n], dtype=torch.bool)
        p, q = (torch.log_softmax(exact.logits_of(m, doc)[:-1], -1) for m in (base, tuned))
        kl = torch.nn.functional.kl_div(q, p, reduction="none", log_target=True).sum(-1)  # pytorch's order: input q, target p
        sums.append(float(kl[taken].sum()))
        at += n
print([round(s, 5) for s in sums])
save_file({"kl": torch.tensor(sums, dtype=torch.float32)}, GOLDEN / "values/divergence.safetensors",
          {"model": "llama", "adapter": "llama-lora", "reference": "torch's kl_div in float64"})
