"""Golden values of adapter_bottleneck.c: the `adapters` library's bottlenecks on the tiny Llama, GPT-2 and BERT.

    python tools/golden/adapter_bottleneck.py

It pins a transformers of its own, so it wants an environment of its own too: adapters, peft, gguf. The numbers in its
files are moved a little, so that every gradient is there. Some folders are saved by torch.save, the others in
safetensors. Those of models that classify have the head's files too, and probabilities.jsonl: of each row of classes.jsonl
the probability of each label.
"""
import copy
import json
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import adapters
import exact
import make_golden as golden
import tiny
import torch
from adapters import DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

RATE, NAME = 3e-3, "neck"


def ready(model):
    m = copy.deepcopy(model)
    adapters.init(m)
    return m


def with_adapter(model, config, seed):
    m = ready(model)
    m.add_adapter(NAME, config=config)
    m.train_adapter(NAME)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for n, p in m.named_parameters():
            p.requires_grad_(".adapters." in n)  # the library leaves a head trainable
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=g) * 0.1)
    return m.eval()


def save(m, path, safe):
    m.save_adapter(path, NAME, with_head=False, use_safetensors=safe)
    for f in os.listdir(path):
        if f not in ("adapter_config.json", "adapter.safetensors", "pytorch_adapter.bin"):
            os.remove(f"{path}/{f}")
    with open(f"{path}/adapter_config.json") as f:
        config = json.load(f)
    config["model_name"] = None
    with open(f"{path}/adapter_config.json", "w") as f:
        json.dump(config, f, indent=2, sort_keys=True)
        f.write("\n")


def check_reload(model, path, m, docs, safe):
    again = ready(model)
    again.load_adapter(path, set_active=True, use_safetensors=safe)
    with torch.no_grad():
        golden.close("adapter read back", exact.logits_of(again.eval(), docs[0]), exact.logits_of(m, docs[0]), 1e-6)


def classes():
    """The head is saved beside the adapter, as the library does by itself."""
    names = ["order", "question", "statement"]
    with open(f"{GOLDEN}/classes.jsonl") as f:
        texts = [json.loads(line)["text"] for line in f]
    for base, safe in (("gpt2", False), ("distilbert", True)):
        c = AutoConfig.from_pretrained(f"{GOLDEN}/{base}", num_labels=3, id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
        c.pad_token_id = c.pad_token_id or 0
        torch.manual_seed(5)
        m = AutoModelForSequenceClassification.from_pretrained(f"{GOLDEN}/{base}", config=c, dtype=torch.float32, attn_implementation="eager")
        m = ready(m.eval())
        m.add_adapter(NAME, config=DoubleSeqBnConfig(reduction_factor=4))
        m.set_active_adapters(NAME)
        with torch.no_grad():
            for n, p in m.named_parameters():
                if ".adapters." in n or not n.startswith(m.base_model_prefix):
                    p.add_(torch.randn(p.shape) * 0.2)
        path = f"{GOLDEN}/{base}-bn-classes"
        m.save_adapter(path, NAME, with_head=True, use_safetensors=safe)
        for name in ("adapter_config.json", "head_config.json"):
            with open(f"{path}/{name}") as f:
                config = json.load(f) | {"model_name": None}
            with open(f"{path}/{name}", "w") as f:
                json.dump(config, f, indent=2, sort_keys=True)
                f.write("\n")
        tokenizer = Tokenizer.from_file(f"{GOLDEN}/{base}/tokenizer.json")
        with open(f"{path}/probabilities.jsonl", "w") as f:
            for text in texts:
                p = m(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits[0].softmax(-1).tolist()
                f.write(json.dumps(dict(zip(names, p))) + "\n")


def named(values):
    """A norm is there under two names."""
    return {k.replace(".adapter_norm_before.", ".adapter_down.0."): v for k, v in values.items()}


def main():
    docs, learn = tiny.make_documents()
    only = os.environ.get("ONLY", "")
    cases = [
        ("llama-bottleneck", "llama", DoubleSeqBnConfig(reduction_factor=4), True),
        ("llama-seq_bn", "llama", SeqBnConfig(reduction_factor={"0": 8, "default": 4}, residual_before_ln=False,
                                              non_linearity="gelu"), True),
        ("llama-par_bn", "llama-untied", ParBnConfig(scaling="learned", mh_adapter=True), True),
        ("gpt2-bottleneck", "gpt2", DoubleSeqBnConfig(reduction_factor=4, ln_before=True, ln_after=True,
                                                      scaling="channel", leave_out=[1]), False),
        ("gpt2-seq_bn", "gpt2", SeqBnConfig(ln_after=True, adapter_residual_before_ln=True, scaling=2.0,
                                            non_linearity="gelu_new"), True),
        ("gpt2-par_bn", "gpt2", ParBnConfig(), True),
        ("bert-seq_bn", "bert", SeqBnConfig(reduction_factor=4, mh_adapter=True), True),
        ("distilbert-seq_bn", "distilbert", SeqBnConfig(reduction_factor=4, residual_before_ln="post_add"), True),
        ("qwen3-seq_bn", "qwen3", SeqBnConfig(reduction_factor=4), True),
        ("gemma2-bottleneck", "gemma2", DoubleSeqBnConfig(reduction_factor=4), True),
    ]
    for name, model_name, config, safe in cases:
        if only not in name:
            continue
        kind = AutoModelForMaskedLM if "bert" in model_name else AutoModelForCausalLM
        c = AutoConfig.from_pretrained(f"{GOLDEN}/{model_name}")
        if getattr(c, "rope_parameters", None):  # its transformers knows the older name alone
            c.rope_theta = c.rope_parameters["rope_theta"]
        model = kind.from_pretrained(f"{GOLDEN}/{model_name}", config=c, dtype=torch.float32, attn_implementation="eager").eval()
        model.name_or_path = None
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        m = with_adapter(model, config, 17)
        save(m, f"{GOLDEN}/{name}", safe)
        check_reload(model, f"{GOLDEN}/{name}", m, docs, safe)
        values = golden.forward_values(m, docs[:6], 9)
        if not exact.is_encoder(model):
            values.update(golden.gradient_values(m, docs[:6], learn[:6]))
            values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
        golden.save(name, named(values), model=model_name, adapter=name, learning_rate=str(RATE))
    if only in "bn-classes":
        classes()
    golden.readable()


if __name__ == "__main__":
    main()
