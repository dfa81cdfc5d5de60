/* gguf_write: a GGUF file, version 3, written beside and renamed. Equal contents give equal bytes. */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "format/gguf.h"

enum { GGUF_QUANTIZATION_VERSION = 2 };        /* general.quantization_version: how ggml lays out blocks now */

struct gguf_meta {          /* keys in the order in which they were put */
	struct buf bytes;
	uint64_t n;
};

void gguf_put_str(struct gguf_meta *m, const char *key, const char *value);
void gguf_put_u32(struct gguf_meta *m, const char *key, uint32_t value);
void gguf_put_i32(struct gguf_meta *m, const char *key, int32_t value);
void gguf_put_f32(struct gguf_meta *m, const char *key, float value);
void gguf_put_bool(struct gguf_meta *m, const char *key, bool value);
void gguf_put_strings(struct gguf_meta *m, const char *key, const struct gguf_string *list, size_t n);
/* Lists of numbers: u8, i32, f32 … n times as they lie in memory. */
void gguf_put_numbers(struct gguf_meta *m, const char *key, enum gguf_type type, const void *list, size_t n);
/* As another file has it. */
void gguf_put_kv(struct gguf_meta *m, const struct gguf_kv *kv);

/* Writes all tensors: of each its name, dtype, dims and bytes count, offset does not. `fill` is called for each in turn
 * with a buffer that holds its bytes. The meta is the caller's still, to be released with buf_release(&meta.bytes). */
int gguf_write(const char *path, const struct gguf_meta *meta, const struct gguf_tensor *tensors, size_t n,
               void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e);

/* The same in pieces: opens w with everything before the tensors' bytes written; the caller adds each tensor's bytes in
 * order with io_writer_add, and after each gguf_writer_pad; then commits or aborts. After an error here nothing is
 * open. */
int gguf_writer_open(struct io_writer *w, const char *path, const struct gguf_meta *meta,
                     const struct gguf_tensor *tensors, size_t n, struct err *e);
int gguf_writer_pad(struct io_writer *w, const struct gguf_tensor *t, struct err *e);
/* What a reader will find before a byte is written: keys and tensors, of which data are the caller's. Parsed from
 * `bytes`, which outlive g; to be closed. */
int gguf_preview(struct gguf *g, struct buf *bytes, const struct gguf_meta *meta, struct gguf_tensor *tensors, size_t n,
                 const char *path, struct err *e);

#endif
