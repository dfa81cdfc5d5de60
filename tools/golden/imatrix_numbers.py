"""Golden sums of an importance matrix: what the tiny Llama's matrices are multiplied with over the first documents, by
transformers in float64. Writes test/golden/values/importance.safetensors: GGUF's name of each matrix, its columns' sums
of squares; `documents`, how many.

    tools/golden/imatrix_numbers.py test/golden
"""
import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

DOCUMENTS = 6
NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}


def main():
    golden = sys.argv[1]
    model = AutoModelForCausalLM.from_pretrained(golden + "/llama", dtype=torch.float64)
    sums = {}
    for layer, block in enumerate(model.model.layers):
        for module, name in NAMES.items():
            def see(_, inputs, key=f"blk.{layer}.{name}.weight"):
                x = inputs[0].reshape(-1, inputs[0].shape[-1])
                sums[key] = sums.get(key, 0) + (x * x).sum(0)
            block.get_submodule(module).register_forward_pre_hook(see)
    with safe_open(golden + "/values/documents.safetensors", "np") as f:
        ids, lengths = f.get_tensor("ids"), f.get_tensor("lengths")
    at = 0
    with torch.no_grad():
        for n in lengths[:DOCUMENTS]:
            model(torch.tensor(ids[at : at + n].astype(np.int64))[None])
            at += int(n)
    out = {k: v.numpy().astype(np.float32) for k, v in sums.items()}
    out["documents"] = np.array([DOCUMENTS], dtype=np.int32)
    save_file(out, golden + "/values/importance.safetensors")


main()
