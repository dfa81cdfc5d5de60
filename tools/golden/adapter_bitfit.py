"""Golden values of adapter_bitfit.c: all biases of the tiny GPT-2, and of the tiny Qwen2 those of q and v. The files are
written here as kungfu writes them, since PEFT has no such type; that load_state_dict takes them is checked.

    python tools/golden/adapter_bitfit.py
"""
import copy
import json
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import exact
import make_golden as golden
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

RATE = 1e-2
exact.decays = lambda name, p: p.dim() >= 2


def bitfit(model, modules):
    m = copy.deepcopy(model)
    g = torch.Generator().manual_seed(7)
    for n, p in m.named_parameters():
        module, _, end = n.rpartition(".")
        p.requires_grad = end == "bias" and (modules is None or module.split(".")[-1] in modules)
        if p.requires_grad:
            with torch.no_grad():
                p.add_(torch.randn(p.shape, generator=g) * 0.1)
    return m.eval()


def save_adapter(m, path, modules):
    os.makedirs(path, exist_ok=True)
    biases = {n: p.detach().contiguous() for n, p in m.named_parameters() if p.requires_grad}
    save_file(biases, f"{path}/adapter_model.safetensors", metadata={"format": "pt"})
    config = {"base_model_name_or_path": None, "exclude_modules": None, "inference_mode": True,
              "modules_to_save": None, "peft_type": "BITFIT", "target_modules": modules, "task_type": "CAUSAL_LM"}
    with open(f"{path}/adapter_config.json", "w") as f:
        json.dump(config, f, indent=2)


def main():
    docs, learn = tiny.make_documents()
    for name, model_name, modules in [("gpt2-bitfit", "gpt2", None), ("qwen2-bitfit", "qwen2", ["q_proj", "v_proj"])]:
        model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{model_name}", dtype=torch.float32).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = bitfit(model, modules)
        save_adapter(m, f"{GOLDEN}/{name}", modules)
        again = copy.deepcopy(model)
        assert not again.load_state_dict(load_file(f"{GOLDEN}/{name}/adapter_model.safetensors"), strict=False).unexpected_keys
        golden.close("read back", exact.logits_of(again, docs[0]), exact.logits_of(m, docs[0]), 1e-7)
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        # a bias of keys has no gradient but rounding, which AdamW makes steps of: GPT-2's lie with those of q and v
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, model_name != "gpt2"))
        golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()


main()
