"""Golden values of objective_grpo.c and objective_rloo.c: TRL's own _compute_loss of GRPOTrainer and RLOOTrainer on made-up
log-probabilities, in float64: the loss and its gradient in each of them; and advantages of rewards by TRL's formulas.

    python tools/golden/objective_group.py

All that a loss has to do with the model goes through these log-probabilities, so the gradient in them is every gradient. The
file that test_group_policy reads holds, for each case, the loss and d loss / d log p; its metadata have the cases' options.
"""
import json
import pathlib
import types

import torch
from safetensors.torch import save_file
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.rloo_trainer import RLOOTrainer

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
LENGTHS = [3, 5, 1, 4, 5, 2]
MOST = 5
torch.manual_seed(7)
mask = torch.tensor([[1.0] * n + [0.0] * (MOST - n) for n in LENGTHS], dtype=torch.float64)
logp = -torch.rand(6, MOST, dtype=torch.float64) * 3
old = logp + torch.randn(6, MOST, dtype=torch.float64) * 0.25
reference = logp + torch.randn(6, MOST, dtype=torch.float64) * 0.4
advantages = torch.tensor([1.2, -0.7, 0.4, -1.3, 0.9, -0.2], dtype=torch.float64)
# what the test reads is f32
logp, old, reference, advantages = (x.float().double() for x in (logp, old, reference, advantages))


class Metrics(dict):
    def __missing__(self, key):
        self[key] = []
        return self[key]


def stub(leaf, o):
    accelerator = types.SimpleNamespace(num_processes=1, gather=lambda x: x, reduce=lambda x, reduction: x, sync_gradients=True,
                                        gather_for_metrics=lambda x: x)
    high = o.get("epsilon_high", o.get("epsilon", 0.2))
    return types.SimpleNamespace(
        model=types.SimpleNamespace(training=True), args=types.SimpleNamespace(use_bias_correction_kl=False, delta=None, steps_per_generation=1,
                                                                                   sapo_temperature_pos=o.get("sapo_pos", 1.0), sapo_temperature_neg=o.get("sapo_neg", 1.05),
                                                                                   vespo_k_pos=2.0, vespo_lambda_pos=3.0, vespo_k_neg=o.get("k_neg", 3.0),
                                                                                   vespo_lambda_neg=2.0),
        get_gamma_weights=GRPOTrainer.get_gamma_weights, accelerator=accelerator,
        _get_per_token_logps_and_entropies=lambda *a, **k: (leaf, torch.zeros_like(leaf), None), aux_loss_enabled=False,
        top_entropy_quantile=1.0, off_policy_mask_threshold=None, importance_sampling_level=o.get("level", "token"),
        beta=o.get("beta", 0.0), epsilon_low=o.get("epsilon", 0.2), epsilon_high=high, loss_type=o.get("loss_type", "dapo"),
        use_vllm=False, vllm_importance_sampling_correction=False, current_gradient_accumulation_steps=1,
        max_completion_length=8, _entropy_bonus_enabled=False, _metrics={"train": Metrics(), "eval": Metrics()})


def loss_of(kind, o, fresh):
    leaf = logp.clone().requires_grad_()
    ids = torch.zeros(6, MOST, dtype=torch.long)
    inputs = {"prompt_ids": ids, "prompt_mask": ids, "completion_ids": ids, "completion_mask": mask, "advantages": advantages,
              "num_items_in_batch": mask.sum(), "ref_per_token_logps": reference}
    model = types.SimpleNamespace(training=True)
    if kind == "grpo":
        inputs["old_per_token_logps"] = None if fresh else old
        loss = GRPOTrainer._compute_loss(stub(leaf, o), model, inputs)
    else:
        inputs["old_logps"] = ((logp if fresh else old) * mask).sum(1)
        loss = RLOOTrainer._compute_loss(stub(leaf, o), model, inputs)
    loss.backward()
    return loss.detach(), leaf.grad * mask


cases = []
for level in ("token", "sequence"):
    for loss_type in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo"):
        cases.append(("grpo", {"loss_type": loss_type, "level": level, "beta": 0.07, "epsilon": 0.1, "epsilon_high": 1.05 if loss_type == "cispo" else 0.3}, False))
cases += [("grpo", {"loss_type": "sapo", "beta": 0.07, "sapo_pos": 2, "sapo_neg": 3}, False), ("grpo", {"loss_type": "sapo", "level": "sequence"}, False),
          ("grpo", {"loss_type": "luspo", "level": "sequence", "epsilon": 0.1}, False), ("grpo", {"loss_type": "vespo", "beta": 0.07, "k_neg": 2.5}, False),
          ("grpo", {"loss_type": "vespo"}, True), ("grpo", {"loss_type": "sapo"}, True)]
cases += [("grpo", {"loss_type": "dapo"}, True), ("grpo", {"loss_type": "grpo", "level": "sequence"}, True),
          ("rloo", {"epsilon": 0.3}, False), ("rloo", {}, True)]
tensors = {"logp": logp, "old": old, "reference": reference, "advantage": advantages}
names = {"loss_type": "loss-type", "level": "importance-sampling-level", "beta": "beta", "epsilon": "epsilon", "epsilon_high": "epsilon-high", "sapo_pos": "sapo-temperature-pos", "sapo_neg": "sapo-temperature-neg",
         "k_neg": "vespo-k-neg"}
meta = {"lengths": json.dumps(LENGTHS), "cases": str(len(cases))}
for i, (kind, o, fresh) in enumerate(cases):
    loss, grad = loss_of(kind, o, fresh)
    tensors[f"{i}.loss"], tensors[f"{i}.grad"] = loss.reshape(1), grad
    meta[f"{i}"] = f"{kind} max-completion-length=8 " + " ".join(f"{names[k]}={v}" for k, v in o.items())
    meta[f"{i}.fresh"] = "1" if fresh else "0"
    print(meta[f"{i}"], fresh, float(loss), float(grad.norm()))
save_file({k: v.float().contiguous() for k, v in tensors.items()}, GOLDEN / "values/group_policy.safetensors", meta)
