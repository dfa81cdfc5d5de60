"""Golden values of adapter_prompt_tuning.c, adapter_prefix_tuning.c and adapter_p_tuning.c: PEFT's prompt learning on the
tiny Llama (whose keys have fewer heads than its queries), the tiny GPT-2 and the tiny Gemma 2, whose embedding is scaled.

    python tools/golden/adapter_soft_prompts.py

Of a text's rows alone the logits are kept; its first token is not learnt, as nowhere here.
"""
import copy
import os
import sys

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../test/golden")
sys.argv = [sys.argv[0], GOLDEN]
import exact
import make_golden as golden
import tiny
import torch
from peft import PeftModel, PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM

RATE = 1e-2


def name_of(n):
    """A flat table is the file's one tensor; an encoder's numbers are in no file and have the model's names."""
    n = n.replace("peft.", "").replace(".default", "")
    return "prompt_embeddings" if n == "prompt_encoder.embedding.weight" and not encoded else n


golden.peft_name = name_of
encoded = False


class Texts(torch.nn.Module):
    """The logits of a text's own tokens, and the model in evaluation: nothing of it drops out."""

    def __init__(self, peft):
        super().__init__()
        self.peft = peft

    def forward(self, input_ids, **options):
        out = self.peft(input_ids=input_ids)
        out.logits = out.logits[:, out.logits.shape[1] - input_ids.shape[1]:]
        return out

    def save_pretrained(self, path):
        self.peft.save_pretrained(path)


def prompted(model, config, scale):
    m = get_peft_model(copy.deepcopy(model), config)
    g = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in m.parameters():
            if p.requires_grad:
                p.copy_(scale * torch.randn(p.shape, generator=g))
    return Texts(m.eval())


def load(name):
    model = AutoModelForCausalLM.from_pretrained(f"{GOLDEN}/{name}", dtype=torch.float32).eval()
    model.name_or_path = None
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return model


def check_reload(model, path, m, docs):
    again = Texts(PeftModel.from_pretrained(copy.deepcopy(model), path).eval())
    with torch.no_grad():
        golden.close("adapter read back", exact.logits_of(again, docs[0]), exact.logits_of(m, docs[0]), 1e-6)


def make(name, model_name, config, scale, docs, learn, trained=True):
    print(name)
    model = load(model_name)
    m = prompted(model, config, scale)
    golden.save_adapter(m, f"{GOLDEN}/{name}")
    check_reload(model, f"{GOLDEN}/{name}", m, docs)
    values = golden.forward_values(m, docs[:6], 9)
    if trained:
        values.update(golden.gradient_values(m, docs[:6], learn[:6]))
        values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, True))
    golden.save(name, values, model=model_name, adapter=name, learning_rate=str(RATE))


def make_encoder(name, model_name, config, scale, options, docs, learn):
    """The encoder in training: its own start, gradients, steps; the adapter that is saved is what it makes."""
    global encoded
    encoded = True
    print(name)
    torch.manual_seed(11)
    model = load(model_name)
    m = Texts(get_peft_model(copy.deepcopy(model), config).eval())
    with torch.no_grad():
        for p in m.parameters():
            if p.requires_grad:
                p.mul_(scale)
    golden.save_adapter(m, f"{GOLDEN}/{name}")
    check_reload(model, f"{GOLDEN}/{name}", m, docs)
    values = golden.forward_values(m, docs[:6], 9)
    golden.save(name, values, model=model_name, adapter=name)
    values.update({f"start.{name_of(n)}": golden.f32(p) for n, p in m.named_parameters() if p.requires_grad})
    values.update(golden.gradient_values(m, docs[:6], learn[:6]))
    values.update(golden.train_values(m, golden.batches_of(docs, learn), RATE, 0.01, False))
    method = {"PREFIX_TUNING": "prefix_tuning", "P_TUNING": "p_tuning"}[str(config.peft_type.value)]
    golden.save(f"{name}-encoder", values, model=model_name, adapter=name, method=method, options=options, learning_rate=str(RATE))
    encoded = False


def main():
    docs, learn = tiny.make_documents()
    prompt = lambda n: PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=n)
    prefix = lambda n: PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=n)
    for name, base, config, scale in [
        ("llama-prompt", "llama", prompt(5), 0.3), ("gpt2-prompt", "gpt2", prompt(7), 0.3),
        ("llama-prefix", "llama", prefix(5), 0.5), ("gpt2-prefix", "gpt2", prefix(7), 0.5),
    ]:
        make(name, base, config, scale, docs, learn)
    make("gemma2-prompt", "gemma2", prompt(5), 0.3, docs, learn, trained=False)
    for base in "llama", "gpt2":
        make_encoder(f"{base}-p-tuning", base, PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=12), 1,
                     "num-virtual-tokens=5 encoder-hidden-size=12", docs, learn)
        make_encoder(f"{base}-p-tuning-lstm", base,
                     PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=6, encoder_reparameterization_type="LSTM"),
                     1, "num-virtual-tokens=5 encoder-hidden-size=6 encoder-reparameterization-type=lstm", docs, learn)
        make_encoder(f"{base}-prefix-projection", base,
                     PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5, encoder_hidden_size=12, prefix_projection=True), 1,
                     "num-virtual-tokens=5 encoder-hidden-size=12 prefix-projection=true", docs, learn)
    golden.readable()


main()
