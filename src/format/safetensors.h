/* safetensors: one JSON header and the tensors' bytes. Source: the format's README.
 * Reader: header ≤ 100 MB and inside the file, no duplicate keys, offsets ordered, gapless and disjoint to the last
 * byte, bytes = product × dtype. Writer: names sorted by dtype size then name is not required; ours keeps the given
 * order, header padded with spaces to 8 bytes; written beside and renamed. Equal tensors give equal bytes. */
#ifndef FORMAT_SAFETENSORS_H
#define FORMAT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/io.h"
#include "tensor/dtype.h"

struct st_tensor {
	const char *name;
	enum dtype dtype;          /* DTYPE_COUNT: one that this program does not compute with, see dtype_name */
	int n_dims;
	size_t dim[4];             /* row-major, dim[0] outermost */
	const void *data;          /* aligned to its number's size */
	size_t bytes;
	const char *dtype_name;    /* as in the file; not needed for writing */
};

struct st_meta { const char *key, *value; };

struct safetensors {
	struct arena mem;
	const char *path;
	struct mapping map;
	struct st_tensor *tensors; /* in the order of their data */
	size_t n_tensors;
	struct st_meta *meta;      /* __metadata__ */
	size_t n_meta;
	const struct st_tensor **by_name; /* [n_tensors] sorted */
};

int st_open(struct safetensors *s, const char *path, struct err *e);
int st_parse(struct safetensors *s, const void *data, size_t size, const char *where, struct err *e);
void st_close(struct safetensors *s);
/* For who fills tensors otherwise (pytorch.h): numbers that are not aligned are copied, names are sorted and unique. */
int st_sort(struct safetensors *s, struct err *e);
bool st_is_aligned(const struct st_tensor *t); /* or without a byte */
const struct st_tensor *st_find(const struct safetensors *s, const char *name);

/* Writes all tensors. `fill` is called for each tensor whose data are NULL, to produce `bytes` bytes into a buffer that
 * holds the largest of those; it may be NULL when all data are set. */
int st_write(const char *path, const struct st_tensor *tensors, size_t n, const struct st_meta *meta, size_t n_meta,
             void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e);

/* The same in pieces: opens w with length and header written; the caller adds all tensors' bytes in order with
 * io_writer_add, then commits or aborts. After an error here nothing is open. */
int st_writer_open(struct io_writer *w, const char *path, const struct st_tensor *tensors, size_t n,
                   const struct st_meta *meta, size_t n_meta, struct err *e);

#endif
