/* watch: an op that lets somebody see a tensor's rows as they come along, and changes nothing: x goes on as it is to
 * whoever else reads it. On forward-only tapes. */
#ifndef OP_WATCH_H
#define OP_WATCH_H

#include "op/run.h"
#include "op/tape.h"

struct watched {
	const float *x;             /* [rows][cols] */
	size_t rows, cols;
	const struct batch *batch;  /* whose rows they are */
	/* of experts: the rows that each reads, order[first[e]] … order[first[e + 1] − 1]; NULL: all, once */
	const int32_t *order, *first;
	size_t parts;               /* experts, else 1 */
};
struct watch {
	void (*see)(void *ctx, struct pool *p, const struct watched *w);
	void *ctx;
};

/* order, first: as struct routing has them, or none. cols: of a row of x, which may hold several. */
void op_watch(struct tape *t, uint32_t x, uint32_t order, uint32_t first, size_t cols, const struct watch *w);

#endif
