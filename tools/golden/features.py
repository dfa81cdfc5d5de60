"""What transformers' hidden_states are of the golden documents 0 to 5: the golden values of test_features.

    python tools/golden/features.py [NAME …]

values/features_NAME.safetensors: last and mean [documents][layers][C]; of an encoder `last` is the first token's."""
import pathlib
import sys

import exact
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel

GOLDEN = pathlib.Path(__file__).resolve().parents[2] / "test/golden"
docs = load_file(GOLDEN / "values/documents.safetensors")
ids = torch.split(docs["ids"].long(), docs["lengths"].tolist())[:6]

for name in sys.argv[1:] or ["llama", "gpt2", "gemma2", "bert"]:
    with exact.float64():
        m = AutoModel.from_pretrained(GOLDEN / name, dtype=torch.float64, attn_implementation="eager").eval()
        with torch.no_grad():
            states = [torch.stack(m(input_ids=i[None], output_hidden_states=True).hidden_states)[:, 0] for i in ids]
        own = 0 if AutoConfig.from_pretrained(GOLDEN / name).model_type == "bert" else -1
        out = {"last": torch.stack([s[:, own] for s in states]), "mean": torch.stack([s.mean(1) for s in states])}
    print(name, out["last"].shape)
    path = GOLDEN / f"values/features_{name}.safetensors"
    save_file({k: v.float().contiguous() for k, v in out.items()}, path,
              {"model": name, "reference": "transformers' hidden_states in float64"})
    path.chmod(0o644)
