"""Golden values of QLoRA: LoRA over a tiny Llama whose linears are 4-bit floats, by transformers' BitsAndBytesConfig and PEFT.

    python tools/golden/four_bit.py

Writes test/golden/four-bit (the float model), four-bit-lora (what PEFT saves of an adapter over it in 4 bits) and their
values: logits, gradients and ten steps of a plain model with the numbers that bitsandbytes computes with, in float64. Its
own run of the same steps, in float32, is compared with them on the way. four-bit-fp4 is the same of FP4 without double
quantization, the forward alone. Rows of 320 numbers are five blocks, so that a row has scales of two nested groups."""
import copy
import json
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import bitsandbytes as bnb
import exact
import make_golden as golden
import tiny
import torch
from peft import LoraConfig, get_peft_model
from peft.utils import loftq_utils
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

RATE = 1e-2


def make(tokenizer):
    config = LlamaConfig(vocab_size=tiny.VOCAB, hidden_size=64, intermediate_size=320, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, bos_token_id=1, eos_token_id=2)
    torch.manual_seed(3)
    model = LlamaForCausalLM(config)
    tiny.scale_weights(model, 31)
    return model.to(torch.bfloat16)


def in_4bit(kind, nested):
    how = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=nested)
    return AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/four-bit", quantization_config=how, dtype=torch.float32, device_map="cpu")


def plain_of(quantized):
    """A model of floats with the numbers that bitsandbytes computes with."""
    model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/four-bit", dtype=torch.float32).eval()
    n = 0
    for name, module in quantized.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            w = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            with torch.no_grad():
                model.get_submodule(name).weight.copy_(w)
            n += 1
    assert n == 14, n
    return model


def lora(model):
    """With numbers in what begins as zero too, so that every gradient is there."""
    torch.manual_seed(5)
    m = get_peft_model(copy.deepcopy(model), LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear"))
    g = torch.Generator().manual_seed(6)
    with torch.no_grad():
        for n, p in m.named_parameters():
            if "lora_" in n:
                p.copy_(torch.randn(p.shape, generator=g) * (0.2 if "lora_B" in n else 0.1))
    return m.eval()


def loftq_values():
    """What PEFT's LoftQ of one iteration begins as, of two matrices in NF4: B·A, since signs are free."""
    quantized = in_4bit("nf4", False)
    plain = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/four-bit", dtype=torch.float32)
    out = {}
    for name in ("model.layers.0.self_attn.q_proj", "model.layers.1.mlp.down_proj"):
        w = quantized.get_submodule(name).weight
        lost = plain.get_submodule(name).weight.detach() - bnb.functional.dequantize_4bit(w.data, w.quant_state)
        parts = loftq_utils._low_rank_decomposition(lost.double(), reduced_rank=4)
        out[name] = golden.f32(parts["L"] @ parts["R"])
    return out


def main():
    docs, learn = tiny.make_documents()
    tok = tiny.make_tokenizer("smollm")
    tiny.save_model(make(tok), tok, f"{GOLDEN}/four-bit")
    quantized = in_4bit("nf4", True)
    model = plain_of(quantized)
    model.name_or_path = quantized.name_or_path = None
    m, theirs = lora(model), lora(quantized)
    golden.save_adapter(m, f"{GOLDEN}/four-bit-lora")
    values = golden.forward_values(m, docs[:6], 9)
    values.update(golden.gradient_values(m, docs[:6], learn[:6]))
    batches = golden.batches_of(docs, learn)
    values.update(golden.train_values(m, batches, RATE, 0.01, True))
    with torch.no_grad():
        golden.close("logits, bitsandbytes and PEFT", exact.logits_of(theirs, docs[0]), exact.logits_of(m, docs[0]), 1e-5)
    losses, norms = exact.train(theirs, batches, RATE, 0.01)
    golden.close("ten losses, bitsandbytes and PEFT", losses, values["losses"], 1e-5)
    golden.close("ten norms, bitsandbytes and PEFT", norms, values["grad_norms"], 1e-4)
    golden.save("four-bit-lora", values, model="four-bit", adapter="four-bit-lora", learning_rate=str(RATE),
                load_in_4bit="nf4 nested")
    golden.save("loftq", loftq_values())
    values = golden.forward_values(plain_of(in_4bit("fp4", False)), docs[:6], 9)
    golden.save("four-bit-fp4", values, model="four-bit", load_in_4bit="fp4")
    golden.readable()


main()
