#!/usr/bin/env python3
"""Methods by PyTorch with PEFT (bottlenecks: with adapters), and what a folder of kungfu's is there.

    peft_method.py BASE ROWS THREADS     a job a line on stdin, an answer a line on stdout, JSON objects; progress on stderr

BASE is a folder of the model in floats. Each job is done by a child that begins as this process is, with the model read, so its peak of memory is its own.
{"run", "out", "batch", "rates", "ids"} trains as the run did, rows in the file's order: the config in its folder is taken over, so sizes and modules are the same, a rate is a step, and
each library begins by its own rules; a run without a config trained weights of the model, all or those whose whole names `trainable` is an expression of. {"run", "ids"}
gives the log-probabilities of a text under the run's result."""
import json
import os
import re
import sys
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import peer
import peft_demo


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


class Full:
    """Weights of the model itself."""

    def __init__(self, model, job):
        self.model = model
        for name, p in model.named_parameters():
            p.requires_grad_(re.fullmatch(job.get("trainable", ".*"), name) is not None)

    def save(self, out):
        self.model.save_pretrained(out)

    @staticmethod
    def read(model, run):
        return load(run)


class Bottleneck:
    def __init__(self, model, job):
        import adapters
        self.model = model
        adapters.init(model)
        with open(os.path.join(job["run"], "adapter_config.json"), encoding="utf-8") as f:
            model.add_adapter("a", config=adapters.AdapterConfig.load(json.load(f)["config"]))
        model.train_adapter("a")

    def save(self, out):
        self.model.save_adapter(out, "a")

    @staticmethod
    def read(model, run):
        import adapters
        adapters.init(model)
        model.set_active_adapters(model.load_adapter(run, use_safetensors=True))
        return model


class Peft:
    def __init__(self, model, job):
        from peft import PeftConfig, get_peft_model
        config = PeftConfig.from_pretrained(job["run"])
        config.inference_mode = False
        self.adalora = config.peft_type == "ADALORA"
        if self.adalora:  # ours has what its run left
            config.total_step, config.rank_pattern = len(job["rates"]), None
        if job.get("init"):  # ours is written as the plain LoRA that it became, of twice the rank
            config.init_lora_weights, config.r, config.lora_alpha = job["init"], config.r // 2, config.lora_alpha / 2
        self.model, self.start = get_peft_model(model, config), None
        if job.get("init"):
            self.start = os.path.join(job["out"], "start")
            self.model.peft_config["default"].init_lora_weights = True
            self.model.save_pretrained(self.start)

    def after(self, step):
        if self.adalora:
            self.model.base_model.update_and_allocate(step)

    def save(self, out):
        self.model.save_pretrained(out, **({"path_initial_model_for_weight_conversion": self.start} if self.start else {}))

    @staticmethod
    def read(model, run):
        from peft import PeftModel
        return PeftModel.from_pretrained(model, run)


def kind(run):
    path = os.path.join(run, "adapter_config.json")
    if not os.path.exists(path):
        return Full
    with open(path, encoding="utf-8") as f:
        return Peft if "peft_type" in json.load(f) else Bottleneck


def done(model, docs, job):
    method = kind(job["run"])
    if "rates" not in job:
        return {"logprobs": peer.logprobs(method.read(model, job["run"]).eval(), job["ids"])}
    it = method(model, job)
    parameters = sum(p.numel() for p in it.model.parameters() if p.requires_grad)
    begin = time.process_time()
    losses, seconds = peft_demo.train(it.model, docs, job["batch"], job["rates"], getattr(it, "after", None), first_timed=1)
    cpu, peak = time.process_time() - begin, peer.peak_rss()
    it.save(job["out"])
    tokens = sum(len(ids) for ids, _ in docs[job["batch"]:job["batch"] * len(job["rates"])])
    return {"tokens_per_second": tokens / seconds, "cpu_seconds": cpu, "peak_rss_bytes": peak, "parameters": parameters, "loss": losses[-1],
            "logprobs": peer.logprobs(it.model.eval(), job["ids"])}


def in_child(threads, *what):
    """The answer, told by the child itself; an error of it by this process."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(threads)
            print(json.dumps(done(*what)), flush=True)
        except BaseException as why:
            print(json.dumps({"error": repr(why)}), flush=True)
            raise
        finally:
            os._exit(0)
    if os.waitpid(child, 0)[1]:
        print(json.dumps({"error": "it was killed"}), flush=True)


def main():
    base, rows, threads = sys.argv[1:4]
    torch.set_num_threads(1)  # no pool of threads that a child would miss
    torch.manual_seed(42)
    model, docs = load(base), peft_demo.documents(AutoTokenizer.from_pretrained(base), peft_demo.read(rows))
    print(json.dumps({"versions": peer.versions()}), flush=True)
    for line in sys.stdin:
        in_child(int(threads), model, docs, json.loads(line))


if __name__ == "__main__":
    main()
