/* moments: what each matrix of a model's blocks is multiplied with, as Σ x·xᵀ over the rows of texts: what rounding
 * with compensation goes by (quant/gptq.h). Matrices that read the same rows (q, k and v; gate and up) share one; of
 * experts each has its own, over the rows that came to it.
 *
 * They are large, cols² numbers each, so they are taken for as many layers at a time as fit a limit, each such group
 * by a pass of the texts of its own. Sums are f32, in one order whatever the threads; of a symmetric matrix the upper
 * half is there. Documents go through whole, one after the other.
 *
 * They are of the source's own rows. Tried too: rows that come through the file's layers before, and making up for what
 * those err (Li et al. 2025, GPTAQ). Of SmolLM2 at Q4_0, by 4,096 tokens, rows behind the fourth layer of texts that
 * nothing was made by were off by 3.6e-3 of their squares, by 3.8e-3 and by 5.5e-3. */
#ifndef EVAL_MOMENTS_H
#define EVAL_MOMENTS_H

#include "data/forest.h"
#include "model/model_pass.h"

struct moment {
	uint32_t x;                 /* the tape's tensor that it is of */
	size_t cols, parts;         /* [parts][cols][cols]; parts: experts, else 1 */
	float *sum;
	size_t *seen;               /* [parts] rows that are in it */
	bool *factored;             /* [parts] by moments_factors */
};

struct moments {
	struct arena mem;
	struct overlay overlay;
	struct model_pass pass;
	struct moment *items;
	size_t n, bytes, limit;
	int *of;                    /* [n_weights] its item, by the first weight of a stack; −1: none */
	int first, end;             /* of these layers */
	void *scratch;
};

/* From layer `first` on, as many layers as fit into `limit` bytes, one at least. longest: tokens of a document. Takes
 * the memory of a pass and of the sums, which are zero. */
int moments_begin(struct moments *s, struct model *m, struct device *d, int32_t longest, int first, size_t limit,
                  struct err *e);
int moments_add(struct moments *s, const struct document *d, struct err *e);
/* gptq_factor of expert `expert` (else 0) of weight `w`, [cols][cols]; NULL: it has none, or, with a sentence in e,
 * it was interrupted. From then on nothing may be added. */
const float *moments_factors(struct moments *s, struct pool *p, int w, int expert, struct err *e);
void moments_end(struct moments *s);

#endif
