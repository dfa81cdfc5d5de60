"""Golden values of adapter_loha.c: PEFT's LoHa on the tiny Llama, with ranks and alphas of patterns and a head, and on the
tiny GPT-2, whose Conv1D are nn.Linear for it.

    python tools/golden/adapter_loha.py
"""
import peft_method
from peft import LoHaConfig


def main():
    cases = [
        ("llama-loha", "llama", dict(r=4, alpha=8, target_modules="all-linear")),
        ("llama-loha-more", "llama-untied", dict(r=3, alpha=4, target_modules=["q_proj", "o_proj", "down_proj", "lm_head"],
                                                 rank_pattern={"o_proj": 2}, alpha_pattern={"down_proj": 6},
                                                 modules_to_save=["norm"])),
        ("gpt2-loha", "gpt2", dict(r=4, alpha=8, target_modules=["c_attn", "c_proj", "c_fc"])),
    ]
    for name, model_name, options in cases:
        model = peft_method.base(model_name, linears=model_name == "gpt2")
        config = LoHaConfig(task_type="CAUSAL_LM", **options)
        peft_method.write(name, model_name, model, peft_method.with_numbers(model, config, "hada_", 0.3))


main()
