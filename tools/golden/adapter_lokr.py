"""Golden values of adapter_lokr.c: PEFT's LoKr on the tiny Llama, whole factors and low ones, with patterns and another
cut, and on the tiny GPT-2, whose Conv1D are nn.Linear for it.

    python tools/golden/adapter_lokr.py
"""
import peft_method
from peft import LoKrConfig


def main():
    cases = [
        ("llama-lokr", "llama", dict(r=2, alpha=4, target_modules="all-linear")),
        ("llama-lokr-more", "llama-untied", dict(r=3, alpha=4, target_modules=["q_proj", "o_proj", "down_proj", "k_proj"],
                                                 decompose_both=True, decompose_factor=8, rank_pattern={"o_proj": 1},
                                                 alpha_pattern={"down_proj": 6}, modules_to_save=["norm"])),
        ("gpt2-lokr", "gpt2", dict(r=4, alpha=8, target_modules=["c_attn", "c_proj", "c_fc"])),
    ]
    for name, model_name, options in cases:
        model = peft_method.base(model_name, linears=model_name == "gpt2")
        config = LoKrConfig(task_type="CAUSAL_LM", **options)
        peft_method.write(name, model_name, model, peft_method.with_numbers(model, config, "lokr_", 0.3))


main()
