/* gguf_write: a GGUF file, version 3, written beside and renamed. Equal contents give equal bytes. */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "format/gguf.h"

struct gguf_meta {          /* keys in the order in which they were put */
	struct buf bytes;
	uint64_t n;
};

void gguf_put_str(struct gguf_meta *m, const char *key, const char *value);
void gguf_put_u32(struct gguf_meta *m, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_meta *m, const char *key, float value);

/* Writes all tensors: of each its name, dtype, dims and bytes count, offset does not. `fill` is called for each in turn
 * with a buffer that holds its bytes. The meta is the caller's still, to be released with buf_release(&meta.bytes). */
int gguf_write(const char *path, const struct gguf_meta *meta, const struct gguf_tensor *tensors, size_t n,
               void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e);

#endif
