"""Golden values of objective_dpo.c's other losses, objective_cpo.c, objective_simpo.c, objective_orpo.c and objective_kto.c: TRL's own loss
functions on log-probabilities of the tiny Llama in float64, all its weights trained.

    python tools/golden/objective_preferences.py [NAME …]

The files are as objective_dpo.py's, whose rows they share; rows of KTO are those apart.
"""
import copy
import json
import pathlib
import sys
import tempfile
import types
import warnings

import exact
import torch
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.trainer.callbacks import SyncRefModelCallback
from trl.experimental.cpo import CPOConfig, CPOTrainer
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

warnings.filterwarnings("ignore")
GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
STEPS, RATE, DECAY = 10, 5e-4, 0.01
SYNCED = {"sync_ref_model", "ref_model_mixup_alpha", "ref_model_sync_steps"}
TOLD = {"rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins", "logps/chosen", "logps/rejected", "nll_loss",
        "log_odds_ratio", "log_odds_chosen", "kl"}


class Exact:
    """A model as TRL's losses call it, whose log-probabilities are float64; TRL's fused head has them in float32."""

    def __init__(self, model, dtype=torch.float64):
        self.model = model
        self.dtype = dtype
        self.training = True

    def __call__(self, input_ids, attention_mask, labels=None, fused_lm_head=False, use_cache=False):
        logits = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        if not fused_lm_head:
            return types.SimpleNamespace(logits=logits)
        all_logp = logits[:, :-1].log_softmax(-1)
        to = labels[:, 1:]
        logp = all_logp.gather(-1, to.clamp(min=0).unsqueeze(-1)).squeeze(-1) * (to != -100)
        logp = logp.to(self.dtype)
        zero = torch.zeros_like(logp)
        return types.SimpleNamespace(log_probs=logp, log_sum_sq_probs=(2 * all_logp).logsumexp(-1), entropy=zero, mean_logits=zero,
                                     is_top1=zero.bool())

    def eval(self):
        return self


def trainer_of(kind, model, tok, rows, batch, **options):
    """TRL's trainer, for its collator and its loss."""
    config, make = {"dpo": (DPOConfig, DPOTrainer), "kto": (KTOConfig, KTOTrainer), "cpo": (CPOConfig, CPOTrainer),
                    "orpo": (ORPOConfig, ORPOTrainer)}[kind]
    args = config(output_dir=tempfile.mkdtemp(), max_steps=1, per_device_train_batch_size=batch, report_to=[], use_cpu=True, bf16=False,
                  gradient_checkpointing=False, disable_tqdm=True, dataloader_pin_memory=False,
                  max_length=None if kind in ("dpo", "kto") else 256, **options)
    if kind in ("cpo", "orpo"):  # which put BOS before texts whose tokenizer does not
        tok = copy.deepcopy(tok)
        tok.bos_token = None
    more = {"ref_model": copy.deepcopy(model)} if kind in ("dpo", "kto") else {}
    return make(model=copy.deepcopy(model), args=args, train_dataset=Dataset.from_list(rows), processing_class=tok, **more)


def loss_of(kind, t, policy, batch):
    if kind in ("dpo", "kto"):
        t._metrics["train"].clear()
        loss = t._compute_loss(policy, batch, False)
        return loss, {k: v[-1] for k, v in t._metrics["train"].items()}
    return t.get_batch_loss_metrics(policy, batch)


def train(kind, model, tok, rows, batch, rate, **options):
    sync = {k: options.pop(k) for k in list(options) if k in SYNCED}
    t = trainer_of(kind, model, tok, rows, batch, **options)
    model = copy.deepcopy(model).double()
    # TRL's alpha divergence knows no float64
    dtype = torch.float32 if options.get("f_divergence_type") == "alpha_divergence" else torch.float64
    policy = Exact(model, dtype)
    t.model.train()
    if kind in ("dpo", "kto"):
        reference = copy.deepcopy(model)
        t.ref_model = Exact(reference, dtype)
        t._disable_gradient_checkpointing = lambda *a: None
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    opt = torch.optim.AdamW([{"params": [p for n, p in named if exact.decays(n, p)], "weight_decay": DECAY},
                             {"params": [p for n, p in named if not exact.decays(n, p)], "weight_decay": 0.0}],
                            lr=rate, betas=(0.9, 0.999), eps=1e-8)
    batches = list(t.get_train_dataloader())
    told = {}
    for step in range(STEPS):
        for g in opt.param_groups:
            g["lr"] = rate * (STEPS - step) / STEPS
        loss, metrics = loss_of(kind, t, policy, batches[step % len(batches)])
        opt.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        if sync and (step + 1) % sync["ref_model_sync_steps"] == 0:
            SyncRefModelCallback._sync_target_model(model, reference, sync["ref_model_mixup_alpha"])
        now = {"loss": loss.item(), "grad_norm": norm.item(), **{k: float(v) for k, v in metrics.items() if k in TOLD}}
        for k, v in now.items():
            told.setdefault(k, []).append(v)
    # TRL has 0 for an NLL that does not count; its margin of means over other rows is not told here; and KTO's KL is a small
    # difference of large sums, which f32 does not have within 1e-5 (the loss has it)
    left = {"rewards/margins", "kl"} if kind == "kto" else {"nll_loss"} if not any(told.get("nll_loss", [0])) else set()
    return {k: v for k, v in told.items() if len(v) == STEPS and k not in left}


PAIRS = [json.loads(line) for line in open(GOLDEN / "pairs.jsonl", encoding="utf-8")]
CASES = [(f"dpo-{x}", "dpo", {"loss_type": [x], "beta": 0.3, **({"label_smoothing": 0.1} if x in ("exo_pair", "robust", "aot") else {}),
                               **({"discopop_tau": 1.0} if x == "discopop" else {})})
         for x in ("exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft",
                   "sigmoid_norm")]
CASES += [("dpo-weighted", "dpo", {"loss_type": ["sigmoid"], "beta": 0.3, "use_weighting": True})]
CASES += [("dpo-mix", "dpo", {"loss_type": ["sigmoid", "sft", "bco_pair"], "loss_weights": [1.0, 0.1, 0.5], "beta": 0.1, "ld_alpha": 0.3})]
# ipo's gradient is 20 times its error here, and forward_kl's grows with exp(−r) beside: that is more than float32 has
CASES += [(f"dpo-{x}", "dpo", {"loss_type": ["sigmoid"] if x == "forward_kl" else ["sigmoid", "ipo"], "beta": 0.05, "f_divergence_type": x})
          for x in ("forward_kl", "js_divergence", "alpha_divergence")]
CASES += [(f"cpo-{x}", "cpo", {"loss_type": x, "beta": 0.2, **more}) for x, more in
          (("sigmoid", {"label_smoothing": 0.1}), ("hinge", {}), ("ipo", {"cpo_alpha": 0.5}), ("simpo", {}), ("alphapo", {"alpha": 0.2}))]
CASES += [("simpo", "cpo", {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.0, "cpo_alpha": 0.0}), ("orpo", "orpo", {"beta": 0.3}),
          ("kto", "kto", {"beta": 0.3, "desirable_weight": 1.5}),
          ("kto-synced", "kto", {"beta": 0.3, "sync_ref_model": True, "ref_model_mixup_alpha": 0.5, "ref_model_sync_steps": 2}),
          ("dpo-synced", "dpo", {"beta": 0.3, "sync_ref_model": True, "ref_model_mixup_alpha": 0.6, "ref_model_sync_steps": 3}), ("kto-apo", "kto", {"loss_type": "apo_zero_unpaired", "beta": 0.3})]


def options_of(name, options):
    words = []
    for k, v in options.items():
        k = {"alpha": "alphapo_alpha"}.get(k, k).replace("_", "-")
        if name == "simpo" and k == "loss-type":
            continue
        v = str(v).lower() if isinstance(v, bool) else v
        words.append(f"{k}={','.join(str(x) for x in v) if isinstance(v, list) else v}")
    return " ".join(words)


def main():
    tok = AutoTokenizer.from_pretrained(GOLDEN / "llama")
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama", dtype=torch.float32).eval()
    good = [{"prompt": p["prompt"], "completion": p["chosen" if i % 2 else "rejected"], "label": bool(i % 2)} for i, p in enumerate(PAIRS)]
    good[2]["label"] = True
    with open(GOLDEN / "unpaired.jsonl", "w", encoding="utf-8") as f:
        for r in good:
            f.write(json.dumps(r, ensure_ascii=False) + "\n")
    for name, kind, options in CASES:
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        # float32's log-probabilities are off by 1e-6 a token, which a steep loss multiplies (discopop's default tau by 6),
        # and AdamW makes whole steps of gradients that are rounding: where a small difference becomes a large one, steps are smaller
        # (yet not so small that float32's weights cannot take them)
        rate = {"dpo-alpha_divergence": 5e-6, "dpo-js_divergence": 2e-5, "dpo-discopop": 1e-4,
                "dpo-exo_pair": 1e-4}.get(name, RATE)
        rows, batch = (good, 3) if kind == "kto" else (PAIRS, len(PAIRS))
        with exact.float64():
            told = train(kind, model, tok, rows, batch, rate, **options)
        for k, v in told.items():
            print(name, k, [round(x, 4) for x in v])
        text = (f"method=full per-device-train-batch-size={batch} max-steps={STEPS} learning-rate={rate} weight-decay={DECAY} "
                f"warmup-steps=0 micro-batch-tokens=120 max-length=60 {options_of(name, options)}")
        objective = name.split("-")[0]
        meta = {"objective": objective, "model": "llama", "rows": "unpaired.jsonl" if kind == "kto" else "pairs.jsonl", "options": text,
                "reference": f"TRL's {kind} on float64 log-probabilities, {options_of(name, options)}"}
        save_file({k: torch.tensor(v, dtype=torch.float32) for k, v in told.items()},
                  GOLDEN / f"values/objective_{name}.safetensors", meta)


main()
