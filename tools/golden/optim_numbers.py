"""Prints the numbers that test/unit/test_optim.c compares with: torch.optim.AdamW, clip_grad_norm_ and transformers' schedules.

    python tools/golden/optim_numbers.py
"""
import torch
from transformers import get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup, get_scheduler, get_wsd_schedule


def weights(n):
    return torch.tensor([((i * 5) % 9 - 4) / 8 for i in range(n)], dtype=torch.float32)


def gradient(n, t):
    return torch.tensor([((t * 7 + i * 13) % 17 - 8) / 16 for i in range(n)], dtype=torch.float32)


def array(name, values):
    print(f"static const double {name}[] = {{ " + ", ".join(f"{float(v):.9g}" for v in values) + " };")


def adamw():
    a, b = torch.nn.Parameter(weights(6)), torch.nn.Parameter(weights(3))
    o = torch.optim.AdamW([{"params": [a], "weight_decay": 0.1}, {"params": [b], "weight_decay": 0.0}], lr=0.02, betas=(0.9, 0.95), eps=1e-8, foreach=False)
    for t in range(1, 11):
        for group in o.param_groups:
            group["lr"] = 0.02 * t / 10
        a.grad, b.grad = gradient(6, t), gradient(3, t + 1)
        norm = torch.nn.utils.clip_grad_norm_([a, b], 0.5)
        o.step()
        if t in (1, 10):
            array(f"step_{t}", list(a.detach()) + list(b.detach()) + [norm])
    array("moments", list(o.state[a]["exp_avg"]) + list(o.state[a]["exp_avg_sq"]))


def schedule(name, make):
    o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    s, factors = make(o), []
    for _ in range(20):
        factors.append(s.get_last_lr()[0])
        o.step()
        s.step()
    array(name, factors)


def exactly(name, kind, warmup, **kwargs):
    """transformers' own scheduler, all digits."""
    o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    s, factors = get_scheduler(kind, o, warmup, 20, kwargs), []
    for _ in range(20):
        factors.append(s.get_last_lr()[0])
        o.step()
        s.step()
    print(f"static const double {name}[] = {{ " + ", ".join(repr(v) for v in factors) + " };")


adamw()
exactly("inverse_sqrt", "inverse_sqrt", 4)
exactly("inverse_sqrt_slow", "inverse_sqrt", 4, timescale=9)
exactly("inverse_sqrt_cold", "inverse_sqrt", 0)
exactly("polynomial", "polynomial", 4, power=2.0, lr_end=0.1)
exactly("wsd_linear", "warmup_stable_decay", 4, num_decay_steps=5, decay_type="linear", min_lr_ratio=0.1)
exactly("wsd_root", "warmup_stable_decay", 4, num_decay_steps=5, decay_type="1-sqrt")
exactly("wsd_long", "warmup_stable_decay", 4, num_decay_steps=16, decay_type="cosine", min_lr_ratio=0.1)
exactly("min_lr", "cosine_with_min_lr", 4, min_lr_rate=0.1)
exactly("warm_constant", "constant_with_warmup", 4)
schedule("linear", lambda o: get_linear_schedule_with_warmup(o, 4, 20))
schedule("linear_cold", lambda o: get_scheduler("linear", o, 0, 20))
schedule("cosine", lambda o: get_cosine_schedule_with_warmup(o, 4, 20))
schedule("cosine_floor", lambda o: get_scheduler("cosine_with_min_lr", o, 4, 20, {"min_lr_rate": 0.1}))
schedule("constant", lambda o: get_constant_schedule_with_warmup(o, 4))
schedule("wsd", lambda o: get_wsd_schedule(o, 4, 5, num_training_steps=20))
schedule("wsd_floor", lambda o: get_wsd_schedule(o, 4, 5, num_training_steps=20, min_lr_ratio=0.1))
