"""Golden values of trainer_balance.c: SFT of the tiny mixtures, all their weights, with the loss that balances experts, in float64; beside
it transformers' own loss of a padded batch with output_router_logits.

    python tools/golden/objective_balance.py

The files are as objective_dpo.py's."""
import copy
import pathlib

import exact
import tiny
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY, COEF = 10, 2e-3, 0.01, 0.5
MODELS = ["mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "gpt_oss"]


def balance(layers, k):
    """load_balancing_loss_func, which itself goes through float32; layers: logits [rows, experts] of each."""
    logits = torch.cat(layers)
    rows, experts = logits.shape
    p = torch.softmax(logits, -1)
    chosen = torch.nn.functional.one_hot(torch.topk(p, k).indices, experts).sum(1).to(p.dtype)
    return experts * (chosen.sum(0) / rows * (p.sum(0) / rows)).sum()


def losses(model, docs, learn):
    nll, each = 0.0, []
    for ids, l in zip(docs, learn):
        out = model(input_ids=torch.tensor([ids]), use_cache=False, output_router_logits=True)
        lp = torch.log_softmax(out.logits[0, :-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
        nll = nll - (lp * torch.tensor(l[1:], dtype=lp.dtype)).sum()
        each.append(out.router_logits)
    aux = balance([torch.cat(rows) for rows in zip(*each)], model.config.num_experts_per_tok)
    return nll / sum(map(sum, learn)) + COEF * aux, aux


def train(model, docs, learn):
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    groups = [{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
              {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}]
    opt = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    told = {"loss": [], "aux_loss": [], "grad_norm": []}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = RATE * (STEPS - step) / STEPS
        loss, aux = losses(model, docs, learn)
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        for k, v in (("loss", loss), ("aux_loss", aux), ("grad_norm", norm)):
            told[k].append(float(v))
    return told


def theirs(model, docs, learn):
    """loss and aux_loss of transformers' class on one padded batch, and the gradient's norm."""
    n = max(map(len, docs))
    pad = lambda rows, by: torch.tensor([r + [by] * (n - len(r)) for r in rows])
    out = model(input_ids=pad(docs, 0), attention_mask=pad([[1] * len(d) for d in docs], 0), output_router_logits=True,
                labels=pad([[t if k else -100 for t, k in zip(d, l)] for d, l in zip(docs, learn)], -100))
    out.loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return float(out.loss), float(out.aux_loss), float(norm)


tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
docs, learn = tiny.row_documents(tok)
for name in MODELS:
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float32, attn_implementation="eager",
                                                 experts_implementation="eager").eval()
    model.get_input_embeddings().padding_idx = None  # see tiny.make_llama
    model.router_aux_loss_coef = COEF
    with exact.float64():
        told = train(copy.deepcopy(model).double(), docs, learn)
    for k, got in zip(("loss", "aux_loss", "grad_norm"), theirs(copy.deepcopy(model), docs, learn)):
        off = abs(told[k][0] - got) / max(1, abs(got))
        print(name, k, told[k][0], told[k][-1], "transformers off by", off)
        assert off < 2e-5, k
    options = (f"method=full per-device-train-batch-size=8 max-steps={STEPS} learning-rate={RATE} weight-decay={DECAY} warmup-steps=0 "
               f"router-aux-loss-coef={COEF}")
    meta = {"objective": "sft", "model": name, "rows": "rows.jsonl", "options": options,
            "reference": "transformers' load_balancing_loss_func, in float64"}
    save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()}, GOLDEN / f"values/objective_balance-{name}.safetensors", meta)
