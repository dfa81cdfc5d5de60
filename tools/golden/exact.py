"""transformers' models in float64, truly: their RMSNorm, rotary table and loss go through float32 whatever the dtype, so
those are replaced here. The float32 originals are compared with this by make_golden.py."""
import contextlib

import torch
from transformers.models.llama import modeling_llama as L
from transformers.models.modernbert import modeling_modernbert as M


def _norm(self, x):
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def _rotary(self, x, position_ids):
    c = self.config
    dim = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    theta = c.rope_parameters["rope_theta"] if getattr(c, "rope_parameters", None) else c.rope_theta
    inv = 1.0 / theta ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    if self.rope_type != "default":  # scaled by transformers' own function, whose frequencies are float32
        inv = self.inv_freq.double()
    angle = position_ids[..., None].double() * inv
    angle = torch.cat((angle, angle), -1)
    return (angle.cos() * self.attention_scaling).to(x.dtype), (angle.sin() * self.attention_scaling).to(x.dtype)


def _rotary_of_layers(self, x, position_ids, layer_type):
    c = self.config
    dim = c.hidden_size // c.num_attention_heads
    inv = 1.0 / c.rope_parameters[layer_type]["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = position_ids[..., None].double() * inv
    angle = torch.cat((angle, angle), -1)
    return angle.cos().to(x.dtype), angle.sin().to(x.dtype)


def _turn(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return q * cos + M.rotate_half(q) * sin, k * cos + M.rotate_half(k) * sin


@contextlib.contextmanager
def float64():
    old = L.LlamaRMSNorm.forward, L.LlamaRotaryEmbedding.forward
    old_layers = M.ModernBertRotaryEmbedding.forward, M.apply_rotary_pos_emb
    L.LlamaRMSNorm.forward, L.LlamaRotaryEmbedding.forward = _norm, _rotary
    M.ModernBertRotaryEmbedding.forward, M.apply_rotary_pos_emb = _rotary_of_layers, _turn
    try:
        yield
    finally:
        L.LlamaRMSNorm.forward, L.LlamaRotaryEmbedding.forward = old
        M.ModernBertRotaryEmbedding.forward, M.apply_rotary_pos_emb = old_layers


def is_encoder(model):
    """Attention both ways: a row predicts its own token, or nothing."""
    return "Bert" in type(model).__name__ or "Roberta" in type(model).__name__


def logits_of(model, ids):
    options = {} if is_encoder(model) else {"use_cache": False}
    return model(input_ids=torch.tensor([ids]), **options).logits[0]


def states_of(model, ids):
    """After the final norm."""
    base = getattr(model, model.base_model_prefix, model)
    return base(input_ids=torch.tensor([ids])).last_hidden_state[0]


def token_logprobs(model, ids):
    """[n]: of token j given those before it; 0 for the first. Of an encoder, of each given all."""
    out = logits_of(model, ids)
    if is_encoder(model):
        return torch.log_softmax(out, -1).gather(1, torch.tensor(ids)[:, None])[:, 0]
    lp = torch.log_softmax(out[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return torch.cat((torch.zeros(1, dtype=lp.dtype), lp))


def nll_sum(model, docs, learn):
    """Sum over all learnt tokens, and their number."""
    total, count = 0.0, 0
    for ids, l in zip(docs, learn):
        total = total - (token_logprobs(model, ids) * torch.tensor(l, dtype=torch.float64)).sum()
        count += sum(l)
    return total, count


def decays(name, p):
    """transformers' Trainer decays what is neither bias nor norm; in these models: the matrices."""
    return p.dim() >= 2 and "bias" not in name


def train(model, batches, lr, decay, steps=10, warmup=2):
    """AdamW, clipping at 1, linear schedule with warm-up: losses of each step; the model is changed."""
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [{"params": [p for n, p in named if decays(n, p)], "weight_decay": decay},
              {"params": [p for n, p in named if not decays(n, p)], "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.999), eps=1e-8)
    losses, norms = [], []
    for step in range(steps):
        factor = step / warmup if step < warmup else (steps - step) / (steps - warmup)
        for g in opt.param_groups:
            g["lr"] = lr * factor
        total, count = nll_sum(model, *batches[step % len(batches)])
        loss = total / count
        opt.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)))
        opt.step()
        losses.append(float(loss))
    return losses, norms
