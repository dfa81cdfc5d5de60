"""What the peers' scripts share: the model out of its GGUF file through transformers, kept as a Hugging Face folder so that
reading it is paid once, and the process's peak memory."""
import os

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def hf_folder(gguf, cache):
    """The folder with the model in float32, made on first use."""
    folder = os.path.join(cache, os.path.basename(gguf).rsplit(".", 1)[0] + "-hf")
    if not os.path.exists(os.path.join(folder, "config.json")):
        where, name = os.path.split(os.path.abspath(gguf))
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        plain = type(model)(model.config)  # without the mark "quantized", which cannot be saved
        plain.load_state_dict(model.state_dict())
        plain.generation_config = model.generation_config
        if hasattr(plain.config, "quantization_config"):
            del plain.config.quantization_config
        AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder + ".new")
        plain.save_pretrained(folder + ".new")
        os.rename(folder + ".new", folder)
    return folder


def load(gguf, cache, threads):
    """cache "-": out of the GGUF file, nothing is kept."""
    torch.set_num_threads(threads)
    if cache == "-":
        where, name = os.path.split(os.path.abspath(gguf))
        model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        return model, AutoTokenizer.from_pretrained(where, gguf_file=name)
    folder = hf_folder(gguf, cache)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def with_lora(model, r=8, alpha=16):
    from peft import LoraConfig, get_peft_model
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=r, lora_alpha=alpha, lora_dropout=0.0, target_modules="all-linear"))


def logprobs(model, ids):
    """Of each token the log-probability after those before it; none for the first. From logits in float64, without those of virtual tokens."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double()
    p = torch.log_softmax(logits[len(logits) - len(ids):], -1)
    return [None] + [float(p[i, t]) for i, t in enumerate(ids[1:])]


def versions():
    import peft
    import transformers
    return {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def peak_rss():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))
