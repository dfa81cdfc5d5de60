"""How transformers' models begin: of every weight of a tiny model of each architecture the mean, the standard deviation,
the share of zeros and the largest magnitude, over SEEDS seeds, in test/golden/init_weights.json.

    python3 tools/golden/init_weights.py

Each model's config is that of test/golden/NAME; a list [mean, std, zeros, max, changes], changes 0 where the numbers do
not depend on the seed. test_init holds kungfu's first weights to these.
"""
import json
import os
import tempfile

import torch
import transformers
from safetensors.torch import load_file

SEEDS = 24
HERE = os.path.join(os.path.dirname(__file__), "..", "..", "test", "golden")


def models():
    for name in sorted(os.listdir(HERE)):
        path = os.path.join(HERE, name, "config.json")
        if os.path.exists(path) and name != "four-bit":
            config = json.load(open(path))
            if "model_type" in config and "ForSequence" not in config["architectures"][0]:
                yield name, os.path.join(HERE, name)


def begin(folder, seed):
    config = transformers.AutoConfig.from_pretrained(folder)
    encoder = config.model_type in ("bert", "distilbert", "roberta", "modernbert", "xlm-roberta", "camembert")
    auto = transformers.AutoModelForMaskedLM if encoder else transformers.AutoModelForCausalLM
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as out:
        auto.from_config(config).save_pretrained(out)
        return load_file(os.path.join(out, "model.safetensors"))


def numbers(tensors):
    x = torch.stack([t.double().flatten() for t in tensors])
    changes = int((x != x[0]).any())
    row = [x.mean().item(), x.std(correction=0).item(), (x == 0).double().mean().item(), x.abs().max().item(), changes]
    return [float(f"{v:.6g}") for v in row]


def main():
    all_models, seen = {}, set()
    for name, folder in models():
        config = json.load(open(os.path.join(folder, "config.json")))
        if config["model_type"] in seen:
            continue
        seen.add(config["model_type"])
        runs = [begin(folder, seed) for seed in range(SEEDS)]
        all_models[name] = {key: numbers([r[key] for r in runs]) for key in sorted(runs[0])}
        print(name, len(all_models[name]))
    with open(os.path.join(HERE, "init_weights.json"), "w") as f:
        f.write("{\n" + ",\n".join(
            f'"{name}": {{\n' + ",\n".join(f'"{key}": {json.dumps(row)}' for key, row in rows.items()) + "}"
            for name, rows in all_models.items()) + "\n}\n")


main()
