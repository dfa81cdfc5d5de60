"""llama_speed: prompt processing and generation by llama.cpp (llama-cpp-python), the way of llama-bench's pp512 and tg64.

    python llama_speed.py MODEL.gguf [--prefill 512] [--decode 64] [--batch 0] [--threads 2] [--repetitions 5]

One JSON line: medians and spreads in tokens/s. --batch N also decodes N sequences side by side. Flags as llama.cpp has them; the head for the last
token of the prompt only.
"""
import argparse, json, statistics, time

import llama_cpp as L


SILENT = L.llama_log_callback(lambda level, text, data: None)  # kept: the library calls it until the end


def context(model, n_ctx, threads, sequences):
    p = L.llama_context_default_params()
    p.n_ctx, p.n_batch, p.n_ubatch, p.n_threads, p.n_threads_batch, p.n_seq_max = n_ctx, 512, 512, threads, threads, sequences
    return L.llama_init_from_model(model, p)


def decode(ctx, batch, rows, last):
    batch.n_tokens = len(rows)
    for i, (token, pos, seq) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, pos, 1, last(i)
        batch.seq_id[i][0] = seq
    if L.llama_decode(ctx, batch):
        raise SystemExit("llama_decode failed")
    L.llama_synchronize(ctx)


def timed(ctx, steps, last, repetitions):
    batch, rates = L.llama_batch_init(512, 0, 1), []
    for r in range(repetitions + 1):
        L.llama_memory_clear(L.llama_get_memory(ctx), True)
        begin = time.perf_counter()
        for rows in steps:
            decode(ctx, batch, rows, last)
        if r:
            rates.append(sum(map(len, steps)) / (time.perf_counter() - begin))
    L.llama_batch_free(batch)
    return {"tokens_per_second": round(statistics.median(rates), 1), "spread": [round(min(rates), 1), round(max(rates), 1)]}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("model")
    for name, default in (("prefill", 512), ("decode", 64), ("batch", 0), ("threads", 2), ("repetitions", 5)):
        a.add_argument("--" + name, type=int, default=default)
    a = a.parse_args()
    L.llama_log_set(SILENT, None)
    L.llama_backend_init()
    begin = time.perf_counter()
    model = L.llama_model_load_from_file(a.model.encode(), L.llama_model_default_params())
    token = [(i * 7919 + 13) % L.llama_vocab_n_tokens(L.llama_model_get_vocab(model)) for i in range(1024)]
    out = {"model": a.model, "threads": a.threads, "load_seconds": round(time.perf_counter() - begin, 3)}
    ctx = context(model, 1024, a.threads, 1)
    prompt = [(token[i], i, 0) for i in range(a.prefill)]
    if a.prefill:
        out["prefill"] = timed(ctx, [prompt], lambda i: i == a.prefill - 1, a.repetitions)
    if a.decode:
        out["decode"] = timed(ctx, [[(token[i], i, 0)] for i in range(a.decode)], lambda i: True, a.repetitions)
    L.llama_free(ctx)
    if a.batch:
        ctx = context(model, a.batch * 128, a.threads, a.batch)
        out["batched"] = timed(ctx, [[(token[i], i, s) for s in range(a.batch)] for i in range(a.decode)], lambda i: True, a.repetitions)
        L.llama_free(ctx)
    print(json.dumps(out))


main()
