/* combine_models: whole models of one shape as one, weight by weight, by mergekit's arithmetic:
 *
 *     linear            Σ wᵢ·xᵢ / Σ wᵢ
 *     slerp             between two by their angle, w₂/(w₁ + w₂) of the way
 *     all others        base + what each changed of it, combined (combination.h)
 *
 * in f32, each weight once read from every model. */
#ifndef ADAPT_COMBINE_MODELS_H
#define ADAPT_COMBINE_MODELS_H

#include "adapt/combination.h"
#include "model/model.h"

enum { COMBINE_MODELS_MOST = 16 };

struct combine_models {
	/* What is taken from each and given back to the sum; NULL of linear and slerp. */
	const struct model *base;
	const struct model *const *models; /* [n] */
	const char *const *names;      /* [n] for sentences; and of the base */
	const char *base_name;
	const double *weights;         /* [n] */
	size_t n;
	struct combining how;          /* RULES_MERGEKIT */
	/* what combine_models_begin takes: */
	float *x[COMBINE_MODELS_MOST];
	float *own;
	uint32_t *order;
};
/* Refuses models of another shape, naming the first weight that differs, and takes memory for one weight of each. */
int combine_models_begin(struct combine_models *c, struct err *e);
size_t combine_models_bytes(const struct combine_models *c); /* that memory */
/* Weight i of the result (export_weights' get, model/export.h); ctx is the struct combine_models. */
const float *combine_models_weight(void *ctx, int i, float *scratch);
void combine_models_end(struct combine_models *c);

#endif
