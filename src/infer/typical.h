/* typical: of the micro-batches that documents are packed into, one whose rows are nearest to the mean, and how long a
 * pass over it takes: what a forecast stands on (op/timing.h). */
#ifndef INFER_TYPICAL_H
#define INFER_TYPICAL_H

#include "data/forest.h"
#include "model/model_pass.h"

struct typical {
	const struct document **docs;      /* [n] of the nearest yet; the list is copied, the documents are borrowed */
	size_t n;
	struct batch_cap cap;
	double mean_rows, off;             /* what is looked for; how far the nearest is from it */
};

/* most: documents that one call of typical_look may bring */
void typical_init(struct typical *t, size_t most, double mean_rows);
/* Looks at every micro-batch of docs[0..n). */
void typical_look(struct typical *t, const struct document *const *docs, size_t n, const struct forest_options *o);
/* Of a planned pass at the counts `mean`; budget as timing_options. */
int typical_time(const struct typical *t, struct model_pass *p, const struct forest_options *o, const struct live *mean,
                 double budget, struct timing *out, struct err *e);
void typical_release(struct typical *t);

#endif
