"""A tiny model as a GGUF file, written as llama.cpp's converter writes one: Llama's q and k rows permuted so that a
rotation's pair are neighbours, tokenizer in the metadata, and a mixture of storage forms so that each is multiplied
once."""
import json

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Q

LLAMA = gguf.MODEL_ARCH.LLAMA
FORMS = [Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q8_0, Q.F16, Q.BF16]


def permute(w, heads):
    """Rows of each head: from (first half, second half) to neighbours."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def unpermute(w, heads):
    return w.reshape(heads, w.shape[0] // heads // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def add_tokenizer(w, tokenizer, template, pre):
    tok = json.loads(tokenizer.backend_tokenizer.to_str())
    by_id = sorted(tok["model"]["vocab"], key=tok["model"]["vocab"].get)
    special = {a["content"] for a in tok["added_tokens"]}
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list(by_id)
    w.add_token_types([gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in by_id])
    w.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in tok["model"]["merges"]])
    w.add_bos_token_id(tokenizer.bos_token_id)
    w.add_eos_token_id(tokenizer.eos_token_id)
    w.add_pad_token_id(tokenizer.pad_token_id)
    w.add_add_bos_token(False)
    if tokenizer.chat_template:
        w.add_chat_template(template)


def add_config(w, c):
    w.add_context_length(c.max_position_embeddings)
    w.add_embedding_length(c.hidden_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_feed_forward_length(getattr(c, "intermediate_size", 4 * c.hidden_size))
    w.add_head_count(c.num_attention_heads)
    if hasattr(c, "num_key_value_heads"):
        w.add_head_count_kv(c.num_key_value_heads)
    if hasattr(c, "rms_norm_eps"):
        w.add_layer_norm_rms_eps(c.rms_norm_eps)
    if "rope_theta" in (getattr(c, "rope_parameters", None) or {}):
        w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    if w.arch == gguf.MODEL_ARCH_NAMES[LLAMA]:
        w.add_rope_dimension_count(c.head_dim)
        w.add_vocab_size(c.vocab_size)
    if getattr(c, "head_dim", None) and (w.arch != "llama" or c.head_dim * c.num_attention_heads != c.hidden_size):
        w.add_key_length(c.head_dim)
        w.add_value_length(c.head_dim)


class Twin:
    """What a maker may say of its GGUF: facts of its own, whether q and k are permuted, and how numbers differ there."""
    def __init__(self, maker):
        self.add = getattr(maker, "gguf_config", lambda w, c: None)
        self.pre = getattr(maker, "GGUF_PRE", "smollm")
        self.turned = getattr(maker, "is_turned", lambda name, x: False)
        self.permuted = getattr(maker, "GGUF_PERMUTED", False)
        self.to = getattr(maker, "gguf_from", lambda name, x, c: x)
        self.back = getattr(maker, "gguf_back", lambda name, x, c: x)
        self.change = getattr(maker, "gguf_change", lambda model: None)  # what its facts cannot say
        self.only = getattr(maker, "gguf_only", lambda c: {})  # tensors that Hugging Face's files have not
        self.tensors = getattr(maker, "gguf_tensors", lambda name, x: {name: x})  # of one parameter
        self.joined = getattr(maker, "gguf_joined", lambda stored: stored)  # and back


def write(path, model, tokenizer, template, arch=LLAMA, twin=Twin(None)):
    """Returns the state dict that the file stands for."""
    c = model.config
    w = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    w.add_name("tiny")
    add_config(w, c)
    twin.add(w, c)
    add_tokenizer(w, tokenizer, template, twin.pre)
    names = gguf.get_tensor_name_map(arch, c.num_hidden_layers)
    stored, linears = {}, 0
    tensors = [t for name, p in model.named_parameters() for t in twin.tensors(name, p.detach().numpy()).items()]
    for name, x in tensors:
        permuted = {}
        if arch == LLAMA or twin.permuted:
            permuted = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}
        heads = permuted.get(name.split(".")[-2], 0)
        form = Q.F32
        if x.ndim >= 2 and "wpe" not in name and not name.endswith("bias"):
            form = Q.Q8_0 if "embed" in name or "wte" in name else FORMS[linears % len(FORMS)]
            linears += "embed" not in name and "wte" not in name
        if form != Q.F32 and (x.T if twin.turned(name, x) else x).shape[-1] % 32:
            form = Q.F16 if linears % 2 else Q.BF16
        x = permute(x, heads) if heads else np.asarray(twin.to(name, x, c), np.float32)
        data = gguf.quants.quantize(np.ascontiguousarray(x), form)
        w.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), data, raw_dtype=form)
        back = gguf.quants.dequantize(data, form).reshape(x.shape).astype(np.float32)
        stored[name] = torch.tensor(unpermute(back, heads) if heads else twin.back(name, back, c))
    stored = twin.joined(stored)
    for name, x in twin.only(c).items():
        w.add_tensor(name, np.asarray(x, np.float32))
    embedding = next((n for n in stored if "embed_tokens" in n or "wte" in n), None)
    if c.tie_word_embeddings and embedding:
        stored.setdefault("lm_head.weight", stored[embedding])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return stored
