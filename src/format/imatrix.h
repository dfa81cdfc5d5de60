/* imatrix: an importance matrix, llama.cpp's file of how much each column of each matrix matters: the sum of squares of
 * what was multiplied with it, over a text.
 *
 *     GGUF       general.type "imatrix", imatrix.datasets, imatrix.chunk_count, imatrix.chunk_size; for each matrix
 *                NAME.in_sum2 (columns, experts) and NAME.counts (1, experts), F32
 *     .dat       the form before: i32 entries; each i32 length, name, i32 calls, i32 values, f32 means·calls; then i32
 *                chunks, i32 length, name of the text. Little endian
 *
 * Both are read, the first is written. */
#ifndef FORMAT_IMATRIX_H
#define FORMAT_IMATRIX_H

#include "base/arena.h"
#include "format/gguf.h"

struct imatrix_entry {
	const char *name;           /* of the matrix: "blk.0.attn_q.weight" */
	float *mean;                /* [n] of squares, a row a matrix of a stack; 1 where nothing came along */
	size_t n;
};

struct imatrix {
	struct arena mem;
	struct imatrix_entry *entry; /* by name, ascending */
	size_t n;
	const char *dataset;        /* the first; NULL: not said */
	int64_t chunks;             /* 0: not said */
};

/* Errors name the entry: numbers that are not finite, sums without counts, sizes that do not agree. */
int imatrix_open(struct imatrix *m, const char *path, struct err *e);
int imatrix_parse(struct imatrix *m, const void *data, size_t size, const char *where, struct err *e);
const struct imatrix_entry *imatrix_find(const struct imatrix *m, const char *name); /* NULL */
void imatrix_close(struct imatrix *m);

/* What is written: of matrix `name`, sums [parts][cols] and counts [parts]. */
struct imatrix_sums {
	const char *name;
	double *sum, *count;
	size_t parts, cols;
};
struct imatrix_about { const char *dataset; uint32_t chunks, chunk_size; };
/* GGUF, entries by name, beside and renamed. */
int imatrix_write(const char *path, const struct imatrix_sums *s, size_t n, const struct imatrix_about *about,
                  struct err *e);

#endif
