/* ivf: an inverted file over rows of vectors (vectors.h), so that a search looks at few of them: rows lie in lists
 * around centres, and those lists are looked at whose centres are nearest to the query (Jégou, Douze & Schmid 2011,
 * without their codes: a row's likeness is the exact scan's). Rows that came later are in no list, and are all looked
 * at.
 *
 *     head      struct ivf_head
 *     scale     f32 [lists]            of the centres
 *     centre    s8  [lists][width]
 *     begin     u32 [lists + 1]        where a list's rows begin
 *     row       u32 [rows]             ascending in a list
 *
 * Centres are of spherical k-means (cosines, means made length 1) over a sample. How many lists are looked at is the
 * least that finds IVF_RECALL of the ten best of the exact scan, of IVF_ASKED of the rows themselves as queries, each
 * without itself; the head states what was found. */
#ifndef RETRIEVE_IVF_H
#define RETRIEVE_IVF_H

#include "base/buf.h"
#include "base/err.h"
#include "retrieve/vectors.h"

enum { IVF_ASKED = 100, IVF_ROWS = 2000000 /* beyond which it is made by itself */ };
#define IVF_RECALL 0.95

struct ivf_head {
	char magic[8];
	uint32_t rows, lists, width, probes;    /* probes: lists that are looked at */
	double recall;                          /* of the ten best, as measured */
};

struct ivf {                                    /* as it is read */
	struct ivf_head head;
	const float *scale;
	const int8_t *centre;
	const uint32_t *begin, *row;
};

/* Appends one of `lists` lists (at most rows) of data[rows]; dead: rows that are no answer. −1: interrupted. */
int ivf_build(const struct vectors_form *f, const struct kernels *k, const uint8_t *data, size_t rows,
              const uint8_t *dead, size_t lists, struct pool *pool, struct buf *out, struct err *e);
/* So many lists are usual. */
size_t ivf_lists(size_t rows);
/* −1: it is damaged, or not of so many rows of this width at most. */
int ivf_read(struct ivf *x, const void *data, size_t size, size_t rows, size_t width, const char *where, struct err *e);
/* The rows of the lists nearest to the query, `out` of room for all rows; returns how many. */
size_t ivf_near(const struct ivf *x, const struct kernels *k, const float *query, uint32_t *out);

#endif
