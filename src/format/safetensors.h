/* safetensors: one JSON header and the tensors' bytes. Source: the format's README.
 * Reader: header ≤ 100 MB and inside the file, no duplicate keys, offsets ordered, gapless and disjoint to the last
 * byte, bytes = product × dtype. Writer: names sorted by dtype size then name is not required; ours keeps the given order,
 * header padded with spaces to 8 bytes; written beside and renamed. Equal tensors give equal bytes. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/io.h"
#include "tensor/dtype.h"

struct st_tensor {
	const char *name;
	enum dtype dtype;
	int n_dims;
	size_t dim[4];             /* row-major, dim[0] outermost */
	const void *data;
	size_t bytes;
};

struct st_meta { const char *key, *value; };

struct safetensors {
	struct arena mem;
	struct mapping map;
	struct st_tensor *tensors; /* in the order of their data */
	size_t n_tensors;
	struct st_meta *meta;      /* __metadata__ */
	size_t n_meta;
};

int st_open(struct safetensors *s, const char *path, struct err *e);
int st_parse(struct safetensors *s, const void *data, size_t size, const char *where, struct err *e);
void st_close(struct safetensors *s);
const struct st_tensor *st_find(const struct safetensors *s, const char *name);

/* Writes all tensors. `fill` may be NULL when data are set; else it is called per tensor to produce `bytes` bytes
 * into a buffer that holds the largest one. */
int st_write(const char *path, const struct st_tensor *tensors, size_t n, const struct st_meta *meta, size_t n_meta,
             void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e);

#endif
