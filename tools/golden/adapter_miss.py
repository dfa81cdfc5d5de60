"""Golden values of adapter_miss.c: PEFT's MiSS on the tiny Llama, with a head and a rank that does not divide, and on the
tiny GPT-2, whose Conv1D are nn.Linear for it.

    python tools/golden/adapter_miss.py
"""
import peft_method
from peft import MissConfig


def main():
    cases = [
        ("llama-miss", "llama", dict(r=4, target_modules="all-linear")),
        ("llama-miss-more", "llama-untied", dict(r=5, target_modules=["q_proj", "o_proj", "down_proj", "lm_head"],
                                                 modules_to_save=["norm"])),
        ("gpt2-miss", "gpt2", dict(r=8, target_modules=["c_attn", "c_proj", "c_fc"])),
    ]
    for name, model_name, options in cases:
        model = peft_method.base(model_name, linears=model_name == "gpt2")
        config = MissConfig(task_type="CAUSAL_LM", **options)
        peft_method.write(name, model_name, model, peft_method.with_numbers(model, config, "miss_", 0.1))


main()
