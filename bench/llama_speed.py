#!/usr/bin/env python3
"""llama.cpp through its C interface (llama-cpp-python), the way llama-bench measures: one pass to warm up, then the median of some.

    llama_speed.py prefill FILE THREADS N REPETITIONS              one prompt of N tokens into an empty context
    llama_speed.py decode FILE THREADS N REPETITIONS [STREAMS]     N single tokens from an empty context, in STREAMS sequences
    llama_speed.py depth FILE THREADS N REPETITIONS DEPTH          N single tokens after DEPTH others
    llama_speed.py first FILE THREADS N                            milliseconds: opening the file, a prompt of N tokens, its logits
    llama_speed.py make FILE OUT TYPE                              the model in another storage type

One JSON line."""
import json
import statistics
import sys
import time

import llama_cpp as c

NAMES = {"F32": c.LLAMA_FTYPE_ALL_F32, "F16": c.LLAMA_FTYPE_MOSTLY_F16, "Q4_0": c.LLAMA_FTYPE_MOSTLY_Q4_0, "Q4_1": c.LLAMA_FTYPE_MOSTLY_Q4_1,
         "Q8_0": c.LLAMA_FTYPE_MOSTLY_Q8_0, "Q4_K_M": c.LLAMA_FTYPE_MOSTLY_Q4_K_M}
silent = c.llama_log_callback(lambda *_: None)


def say(**fields):
    print(json.dumps({**fields, "versions": {"llama-cpp-python": c.__version__}}))


def open_file(path):
    model = c.llama_model_load_from_file(path.encode(), c.llama_model_default_params())
    if not model:
        sys.exit(f"{path}: llama.cpp cannot open it")
    return model


def make_context(model, threads, n, streams=1):
    p = c.llama_context_default_params()
    p.n_ctx, p.n_seq_max = n * streams, streams
    p.n_threads = p.n_threads_batch = threads
    return c.llama_init_from_model(model, p)


def fill(batch, rows):
    """rows: (token, position, sequence, whether its logits are wanted)"""
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, position, 1, wanted
        batch.seq_id[i][0] = sequence


def token(i, vocabulary):
    return (i * 7919 + 13) % vocabulary


def prefill(ctx, batch, n, vocabulary, at=0):
    fill(batch, [(token(at + i, vocabulary), at + i, 0, i == n - 1) for i in range(n)])
    assert c.llama_decode(ctx, batch) == 0
    c.llama_synchronize(ctx)


def decode(ctx, batch, n, streams, vocabulary, at=0):
    for i in range(n):
        fill(batch, [(token(i + s, vocabulary), at + i, s, True) for s in range(streams)])
        assert c.llama_decode(ctx, batch) == 0
        c.llama_synchronize(ctx)


def measure(what, path, threads, n, repetitions, streams=1):
    model = open_file(path)
    ctx = make_context(model, threads, n, streams)
    vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))
    batch = c.llama_batch_init(max(n, streams), 0, 1)
    seconds = []
    for _ in range(repetitions + 1):
        c.llama_memory_clear(c.llama_get_memory(ctx), True)
        begin = time.perf_counter()
        prefill(ctx, batch, n, vocabulary) if what == "prefill" else decode(ctx, batch, n, streams, vocabulary)
        seconds.append(time.perf_counter() - begin)
    say(value=n * streams / statistics.median(seconds[1:]))


def depth(path, threads, n, repetitions, before):
    model = open_file(path)
    ctx = make_context(model, threads, before + n)
    vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))
    batch = c.llama_batch_init(512, 0, 1)
    for at in range(0, before, 512):
        prefill(ctx, batch, min(512, before - at), vocabulary, at)
    seconds = []
    for _ in range(repetitions + 1):
        c.llama_memory_seq_rm(c.llama_get_memory(ctx), 0, before, -1)
        begin = time.perf_counter()
        decode(ctx, batch, n, 1, vocabulary, before)
        seconds.append(time.perf_counter() - begin)
    say(value=n / statistics.median(seconds[1:]))


def first(path, threads, n):
    begin = time.perf_counter()
    model = open_file(path)
    ctx = make_context(model, threads, 64)
    vocabulary = c.llama_vocab_n_tokens(c.llama_model_get_vocab(model))
    prefill(ctx, c.llama_batch_init(n, 0, 1), n, vocabulary)
    say(value=(time.perf_counter() - begin) * 1e3)


def make(path, out, kind):
    p = c.llama_model_quantize_default_params()
    p.ftype, p.allow_requantize = NAMES[kind], True
    if c.llama_model_quantize(path.encode(), out.encode(), p):
        sys.exit(f"{out}: llama.cpp cannot make it")
    say()


def main():
    c.llama_log_set(silent, None)
    c.llama_backend_init()
    what, path, *rest = sys.argv[1:]
    if what == "make":
        make(path, *rest)
    elif what in ("first", "depth"):
        globals()[what](path, *map(int, rest))
    else:
        measure(what, path, *map(int, rest))


if __name__ == "__main__":
    main()
