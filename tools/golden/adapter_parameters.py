"""Golden values of LoRA on parameters (target_parameters), and of the modules that PEFT makes parameters of: tensors of all
experts, and matrices by their whole name.

    python tools/golden/adapter_parameters.py [NAME …]

The folder is what PEFT saves. Gradients and numbers after ten steps have the names and shapes that kungfu has: each expert's
by itself, of gate and up one A and two B."""
import re
import sys

ASKED = sys.argv[1:]
from peft_method import GOLDEN, RATE, base, golden, tiny, with_numbers
from peft import LoraConfig

BOTH = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
CASES = [
    # name, model, PEFT's options, what files call gate, up and down
    ("gpt_oss-parameters", "gpt_oss", dict(target_parameters=BOTH + ["router.weight"], target_modules=["q_proj"]), None),
    ("qwen3_moe-fused", "qwen3_moe", dict(target_modules="all-linear"), None),
    ("mixtral-parameters", "mixtral", dict(target_parameters=["gate.weight", "down_proj", "k_proj.weight"], target_modules=[],
                                           use_rslora=True, rank_pattern={"down_proj": 2, "layers.1.mlp.gate.weight": 3}),
     ("w1", "w3", "w2")),
    ("qwen2_moe-parameters", "qwen2_moe", dict(target_parameters=["gate_up_proj"], target_modules=["q_proj", "gate_proj"]), None),
]
EXPERTS = re.compile(r"(.*\.mlp)\.experts((?:\.base_layer)*)\.lora_(A|B)\.weight$")


def apart(values, model, wrapped, names):
    """Every expert's own. wrapped: the parameter that each number of base_layers means."""
    out, c = {}, model.config
    experts = getattr(c, "num_local_experts", None) or c.num_experts
    gate, up, down = names or ("gate_proj", "up_proj", "down_proj")
    block = "block_sparse_moe" if names else "mlp"
    for key, x in values.items():
        m = EXPERTS.match(key)
        if not m:
            out[key] = x
            continue
        parts = [gate, up] if wrapped[m[2].count("base_layer")].endswith("gate_up_proj") else [down]
        at = m[1][:-len("mlp")] + block
        for e in range(experts):
            if m[3] == "A":
                r = x.shape[0] // experts
                out[f"{at}.experts.{e}.{parts[0]}.lora_A.weight"] = x[e * r:(e + 1) * r].copy()
                continue
            b, n = x[:, e::experts], len(parts)
            for p, part in enumerate(parts):
                rows = slice(p, None, n) if c.model_type == "gpt_oss" else slice(p * len(b) // n, (p + 1) * len(b) // n)
                out[f"{at}.experts.{e}.{part}.lora_B.weight"] = b[rows].copy()
    return out


def main():
    docs, learn = tiny.make_documents()
    for name, model_name, options, names in CASES:
        if ASKED and name not in ASKED:
            continue
        print(name)
        model = base(model_name)
        model.set_experts_implementation("eager")
        model.set_attn_implementation("eager")
        m = with_numbers(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, **options), "lora_B", 0.2)
        golden.save_adapter(m, f"{GOLDEN}/{name}")
        golden.check_reload(model, f"{GOLDEN}/{name}", m, docs)
        values = golden.forward_values(m, docs[:6], 9)
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        targets = m.peft_config["default"].target_parameters
        inner = [p for p in ("gate_up_proj", "down_proj") if any(t.endswith(p) for t in targets)]
        golden.save(name, apart(values, model, inner[::-1], names), model=model_name, adapter=name, learning_rate=str(RATE))
    golden.readable()


main()
