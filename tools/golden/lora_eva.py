"""Golden values of lora_eva.c: PEFT's EVA on the tiny models: the ranks that it deals out, the alphas, and A of each module.

    python tools/golden/lora_eva.py

Its whitening divides directions once for each module that reads the same rows, so that case has modules that read none
in common. Its random decomposition (torch.svd_lowrank) is replaced by the exact one, in double. Batches are four of the twelve documents,
padded, in their order and over again. values/NAME.safetensors has A by module; of the metadata `options` are ours, `patterns`
PEFT's rank_pattern and alpha_pattern."""
import copy
import json

import peft_method
import make_golden as golden
import tiny
import torch
from peft import EvaConfig, LoraConfig, get_peft_model
from peft.tuners.lora.eva import initialize_lora_eva_weights
from peft.utils.incremental_pca import IncrementalPCA

CASES = [
    ("llama-eva", "llama", dict(r=4, lora_alpha=8, target_modules="all-linear"), dict(), "lora-r=4 lora-alpha=8"),
    ("llama-eva-more", "llama", dict(r=6, lora_alpha=9, target_modules=["q_proj", "o_proj", "down_proj"], rank_pattern={"o_proj": 3}),
     dict(rho=1.5, tau=0.9, whiten=True, adjust_scaling_factors=False),
     "lora-r=6 lora-alpha=9 target-modules=q_proj,o_proj,down_proj rank-pattern=o_proj=3 "
     "eva-config=rho=1.5,tau=0.9,whiten=true,adjust_scaling_factors=false"),
    ("gpt2-eva", "gpt2", dict(r=3, lora_alpha=6, target_modules="all-linear", fan_in_fan_out=True), dict(use_label_mask=False, rho=3),
     "lora-r=3 lora-alpha=6 eva-config=rho=3,use_label_mask=false"),
]


def exact_svd(self, x):
    return tuple(t for t in torch.linalg.svd(x.double(), full_matrices=False))


IncrementalPCA._svd_fn_lowrank = exact_svd


def batches(docs, learn, size=4):
    out = []
    for at in range(0, len(docs), size):
        some, wanted = docs[at:at + size], learn[at:at + size]
        n = max(len(d) for d in some)
        ids, mask, labels = (torch.full((len(some), n), x) for x in (0, 0, -100))
        for i, (d, l) in enumerate(zip(some, wanted)):
            ids[i, :len(d)], mask[i, :len(d)] = torch.tensor(d), 1
            labels[i, :len(d)] = torch.where(torch.tensor(l) > 0, torch.tensor(d), -100)
        out.append(dict(input_ids=ids, attention_mask=mask, labels=labels))
    return out


def main():
    docs, learn = tiny.make_documents()
    for name, model_name, options, eva, ours in CASES:
        torch.manual_seed(5)
        config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights="eva", eva_config=EvaConfig(**eva), **options)
        m = get_peft_model(copy.deepcopy(peft_method.base(model_name)), config)
        initialize_lora_eva_weights(m, batches(docs, learn), show_progress_bar=False)
        got = m.peft_config["default"]
        values = {n.replace("base_model.model.", "").replace(".lora_A.default.weight", ""): golden.f32(p)
                  for n, p in m.named_parameters() if "lora_A" in n}
        patterns = json.dumps({"rank_pattern": got.rank_pattern, "alpha_pattern": got.alpha_pattern}, sort_keys=True)
        print(name, patterns)
        golden.save(name, values, options=ours, patterns=patterns, model=model_name)
    golden.readable()


main()
