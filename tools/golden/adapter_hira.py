"""Golden values of adapter_hira.c: PEFT's HiRA on the tiny Llama, with ranks of a pattern, and on the tiny GPT-2.

    python tools/golden/adapter_hira.py
"""
import peft_method
from peft import HiraConfig


def main():
    cases = [
        ("llama-hira", "llama", dict(r=4, target_modules="all-linear")),
        ("llama-hira-more", "llama-untied", dict(r=3, target_modules=["q_proj", "o_proj", "down_proj"],
                                                 rank_pattern={"o_proj": 2}, modules_to_save=["norm"])),
        ("gpt2-hira", "gpt2", dict(r=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)),
    ]
    for name, model_name, options in cases:
        model = peft_method.base(model_name)
        config = HiraConfig(task_type="CAUSAL_LM", **options)
        peft_method.write(name, model_name, model, peft_method.with_numbers(model, config, "hira_", 0.3))


main()
