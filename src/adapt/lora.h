/* lora: what the files of LoRA share: adapter_lora.c (config, modules, how it is computed) and its variants. */
#ifndef ADAPT_LORA_H
#define ADAPT_LORA_H

#include "adapt/adapter.h"
#include "adapt/token_rows.h"
#include "model/graph.h"

/* One adapted linear or embedding. What is −1 is not there. */
struct lora_site {
	int weight, a, b;      /* the model's weight (n_weights: a tied model's head); parameters */
	int bias;              /* B's, a parameter (lora_bias) */
	int magnitude, norm;   /* DoRA: m, a parameter; 1/‖W + s·B·A‖ of each output, fixed */
	size_t r, in, out;     /* of an embedding: V in, C out */
	float scale;
	bool embedding;
	double *squares;       /* DoRA of an embedding: sums while its norms are made */
	/* DoRA with dropout: the product of the dropped input, from before the linear's own product to after it */
	uint32_t dropped;
};

struct lora {
	struct lora_site *sites;
	size_t n;
	int *site_of;          /* [n_weights + 1], −1; of a bias that lora_bias adds to, its module's */
	float dropout;
	struct token_rows tokens;      /* trained beside: trainable_token_indices */
};

/* --- lora_dora.c --- */

/* Adds what DoRA has at the site. */
int dora_site(struct adapter *a, const struct model *m, struct lora_site *s, const char *module, struct err *e);
/* The norms as the parameters are now; and, where they are new, the magnitudes, which begin as the norms. */
void dora_follow(struct adapter *a, const struct model *m, const struct kernels *k, struct pool *p);
int dora_begin(struct adapter *a, const struct model *m, bool is_new, struct err *e);
/* m/‖W + s·B·A‖, one number for each output. */
uint32_t dora_scales(struct graph *g, const struct overlay *o, const struct lora_site *s);
/* w, W + s·B·A in Hugging Face's order, becomes what DoRA makes of it. */
void dora_merge(const struct adapter *a, const struct model *m, const struct lora_site *s, float *w);

#endif
