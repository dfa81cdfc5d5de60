"""A tiny RWKV-7 (Peng et al. 2025), whose PyTorch form is written here: transformers has none. One token after the other,
the state of a head as a matrix [value][key]. It exists as GGUF alone, in llama.cpp's names and in float32.

Names of modules are those of flash-linear-attention's model."""
import types

import gguf
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import tiny
import tiny_gguf

GGUF = gguf.MODEL_ARCH.RWKV7
GGUF_ONLY = True
V, C, D, FFN, LAYERS = tiny.VOCAB, 32, 8, 64, 3
RANK = {"w": 6, "a": 5, "v": 4, "g": 7}
ORDER = "rwkvag"


class LowRank(nn.Module):
    def __init__(self, rank, between, bias=True):
        super().__init__()
        self.lora = nn.Sequential(nn.Linear(C, rank, bias=False), between, nn.Linear(rank, C, bias=bias))

    def forward(self, x):
        return self.lora(x)


def before(x):
    return torch.cat([torch.zeros_like(x[:1]), x[:-1]])


class TimeMixing(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.x_rwkvag = nn.Parameter(torch.zeros(6 * C))
        for name in ("r_proj", "k_proj", "v_proj", "o_proj"):
            setattr(self, name, nn.Linear(C, C, bias=False))
        self.w_lora = LowRank(RANK["w"], nn.Tanh())
        self.a_lora = LowRank(RANK["a"], nn.Identity())
        if layer:
            self.v_lora = LowRank(RANK["v"], nn.Identity())
        self.g_lora = LowRank(RANK["g"], nn.Sigmoid(), bias=False)
        for name in ("k_k", "k_a", "r_k"):
            setattr(self, name, nn.Parameter(torch.zeros(C)))
        self.g_norm = nn.GroupNorm(C // D, C, eps=64e-5)

    def forward(self, x, first):
        shift = before(x) - x
        mixed = dict(zip(ORDER, (x + shift * m for m in self.x_rwkvag.view(6, C))))
        r, k, v = self.r_proj(mixed["r"]), self.k_proj(mixed["k"]), self.v_proj(mixed["v"])
        decay = torch.exp(-0.6065306597126334 * torch.sigmoid(self.w_lora(mixed["w"])))
        alpha = torch.sigmoid(self.a_lora(mixed["a"]))
        first = v if first is None else first
        if self.layer:
            v = v + (first - v) * torch.sigmoid(self.v_lora(mixed["v"]))
        kappa = F.normalize((k * self.k_k).view(-1, C // D, D), dim=-1, p=2.0)
        k = k * (1 + (alpha - 1) * self.k_a)
        heads = lambda y: y.view(-1, C // D, D)
        out, state = [], x.new_zeros(C // D, D, D)
        for t in range(len(x)):
            taken = state @ -kappa[t].unsqueeze(-1)
            state = (state * heads(decay)[t].unsqueeze(-2) + taken @ (kappa[t] * heads(alpha)[t]).unsqueeze(-2)
                     + heads(v)[t].unsqueeze(-1) @ heads(k)[t].unsqueeze(-2))
            out.append((state @ heads(r)[t].unsqueeze(-1)).view(C))
        y = self.g_norm(torch.stack(out))
        bonus = (heads(r) * heads(k) * self.r_k.view(C // D, D)).sum(-1, keepdim=True) * heads(v)
        return self.o_proj((y + bonus.reshape(-1, C)) * self.g_lora(mixed["g"])), first


class ChannelMixing(nn.Module):
    def __init__(self):
        super().__init__()
        self.x_k = nn.Parameter(torch.zeros(C))
        self.key = nn.Linear(C, FFN, bias=False)
        self.value = nn.Linear(FFN, C, bias=False)

    def forward(self, x):
        return self.value(torch.relu(self.key(x + (before(x) - x) * self.x_k)) ** 2)


class Layer(nn.Module):
    def __init__(self, layer):
        super().__init__()
        if layer == 0:
            self.pre_norm = nn.LayerNorm(C)
        self.attn_norm, self.ffn_norm = nn.LayerNorm(C), nn.LayerNorm(C)
        self.attn, self.ffn = TimeMixing(layer), ChannelMixing()

    def forward(self, x, first):
        if hasattr(self, "pre_norm"):
            x = self.pre_norm(x)
        y, first = self.attn(self.attn_norm(x), first)
        x = x + y
        return x + self.ffn(self.ffn_norm(x)), first


class Body(nn.Module):
    def __init__(self):
        super().__init__()
        self.embeddings = nn.Embedding(V, C)
        self.layers = nn.ModuleList(Layer(i) for i in range(LAYERS))
        self.norm = nn.LayerNorm(C)

    def forward(self, ids):
        x, first = self.embeddings(ids), None
        for layer in self.layers:
            x, first = layer(x, first)
        return self.norm(x)


class Rwkv7(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Body()
        self.lm_head = nn.Linear(C, V, bias=False)

    def forward(self, input_ids, use_cache=False):
        return types.SimpleNamespace(logits=torch.stack([self.lm_head(self.model(ids)) for ids in input_ids]))


def make(tokenizer):
    model = tiny.scale_weights(Rwkv7(), 41).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("x_rwkvag", "x_k")):  # shares
                p.sub_(1).mul_(2).add_(0.5)
            elif name.endswith("r_k"):
                p.sub_(1)
    return model


NAMES = {
    "attn_norm.": "attn_norm.", "ffn_norm.": "attn_norm_2.", "attn.x_rwkvag": "time_mix_lerp_fused.weight",
    "attn.r_proj.": "time_mix_receptance.", "attn.k_proj.": "time_mix_key.", "attn.v_proj.": "time_mix_value.",
    "attn.o_proj.": "time_mix_output.", "attn.k_k": "time_mix_k_k.weight", "attn.k_a": "time_mix_k_a.weight",
    "attn.r_k": "time_mix_r_k.weight", "attn.g_norm.": "time_mix_ln.", "ffn.x_k": "channel_mix_lerp_k.weight",
    "ffn.key.": "channel_mix_key.", "ffn.value.": "channel_mix_value.",
}
for part in RANK:
    NAMES |= {f"attn.{part}_lora.lora.0.weight": f"time_mix_{part}1.weight",
              f"attn.{part}_lora.lora.2.weight": f"time_mix_{part}2.weight",
              f"attn.{part}_lora.lora.2.bias": f"time_mix_{part}0.weight"}
OUTER = {"model.embeddings.": "token_embd.", "model.layers.0.pre_norm.": "token_embd_norm.",
         "model.norm.": "output_norm.", "lm_head.": "output."}


def gguf_name(name):
    for mine, theirs in OUTER.items():
        if name.startswith(mine):
            return name.replace(mine, theirs)
    _, _, layer, rest = name.split(".", 3)
    for mine, theirs in NAMES.items():
        if rest.startswith(mine):
            return f"blk.{layer}.{rest.replace(mine, theirs)}"
    raise KeyError(name)


def add_facts(w, context, width, hidden, layers, head, ranks, eps=1e-5):
    w.add_context_length(context)
    w.add_embedding_length(width)
    w.add_block_count(layers)
    w.add_layer_norm_eps(eps)
    w.add_wkv_head_size(head)
    w.add_decay_lora_rank(ranks["w"])
    w.add_iclr_lora_rank(ranks["a"])
    w.add_value_residual_mix_lora_rank(ranks["v"])
    w.add_gate_lora_rank(ranks["g"])
    w.add_feed_forward_length(hidden)
    w.add_head_count(0)


def write_gguf(path, model, tokenizer):
    w = gguf.GGUFWriter(path, "rwkv7")
    w.add_name("tiny")
    add_facts(w, 128, C, FFN, LAYERS, D, RANK)
    tiny_gguf.add_tokenizer(w, tokenizer, tiny.TEMPLATE)
    for name, p in model.named_parameters():
        x = np.ascontiguousarray(p.detach().float().numpy())
        if name.endswith("x_rwkvag"):
            x = x.reshape(6, 1, 1, C)
        w.add_tensor(gguf_name(name), x)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
