/* fixture_gguf: GGUF files made in memory for tests, right or wrong on purpose. */
#ifndef FIXTURE_GGUF_H
#define FIXTURE_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "tensor/dtype.h"

struct gguf_fixture {
	struct buf kv, info, data;
	uint64_t n_kv, n_tensors;
	uint32_t alignment; /* 0: 32, and no key says so */
};

void fixture_u32(struct gguf_fixture *f, const char *key, uint32_t x);
void fixture_f32(struct gguf_fixture *f, const char *key, float x);
void fixture_bool(struct gguf_fixture *f, const char *key, bool x);
void fixture_str(struct gguf_fixture *f, const char *key, const char *x);
void fixture_strings(struct gguf_fixture *f, const char *key, const char *const *x, size_t n);
void fixture_i32s(struct gguf_fixture *f, const char *key, const int32_t *x, size_t n);
/* any value's bytes */
void fixture_raw(struct gguf_fixture *f, const char *key, uint32_t type, const void *value, size_t n);
/* dim in GGUF's order; data of the dtype's bytes. */
void fixture_tensor(struct gguf_fixture *f, const char *name, int n_dims, const uint64_t *dim, enum dtype dtype,
                    const void *data, size_t bytes);
/* The same numbers as f32, rounded to the dtype (one that from_float knows). */
void fixture_floats(struct gguf_fixture *f, const char *name, int n_dims, const uint64_t *dim, enum dtype dtype,
                    const float *data);
void fixture_finish(struct gguf_fixture *f, struct buf *out); /* appends the file's bytes and releases f */

/* A whole Llama with random weights from the seed: 2 layers, width 64, 4 query and 2 key-value heads of 16, hidden 96,
 * byte-level tokenizer of 256 bytes, 3 merges and 2 special tokens (V 261), q and k rows permuted as llama.cpp has
 * them. `dtype` is that of the matrices; tied: no output.weight. */
enum { TINY_LAYERS = 2, TINY_C = 64, TINY_H = 4, TINY_G = 2, TINY_D = 16, TINY_F = 96, TINY_V = 261 };
void fixture_llama(struct buf *out, enum dtype dtype, bool tied, uint64_t seed);

#endif
