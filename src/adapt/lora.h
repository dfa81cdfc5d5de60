/* lora: what the files of LoRA share: adapter_lora.c (config, modules, how it is computed) and its variants. */
#ifndef ADAPT_LORA_H
#define ADAPT_LORA_H

#include "adapt/adapter.h"
#include "adapt/token_rows.h"
#include "base/pool.h"
#include "model/graph.h"

/* What a new one begins as; from LORA_LOFTQ on of the weight, from LORA_PISSA on it is taken out again
 * (lora_init.c). */
enum lora_start {
	LORA_PLAIN, LORA_GAUSSIAN, LORA_ORTHOGONAL, LORA_LOFTQ, LORA_PISSA, LORA_PISSA_NITER, LORA_OLORA
};
struct lora_init { enum lora_start start; int rounds; };

/* One adapted linear or embedding. What is −1 is not there. */
struct lora_site {
	int weight, a, b;      /* the model's weight (n_weights: a tied model's head); parameters */
	int bias;              /* B's, a parameter (lora_bias) */
	int a0, b0;            /* as A and B began, fixed: −s·B₀·A₀ is added */
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
	struct lora_init init;
	uint64_t seed;         /* of a new one */
	struct token_rows tokens;      /* trained beside: trainable_token_indices */
};

/* PEFT's LoraConfig with nothing asked for, which kin of LoRA have too; new. */
json_t *lora_config_blank(void);

/* --- lora_init.c --- */

/* "pissa_niter_4"; refuses what is none. */
int lora_init_read(const char *text, struct lora_init *out, struct err *e);
json_t *lora_init_json(const char *text);   /* as PEFT's config has a text that is one */
/* Whether −s·B₀·A₀ is there. */
bool lora_init_subtracts(const struct lora_init *init);
bool lora_init_of_weight(const struct lora_init *init);   /* whether it is made of the weight */
/* Adds what the site has for it, and refuses what cannot begin so. */
int lora_init_site(struct adapter *a, struct lora_site *s, const struct weight *w, const char *module, struct err *e);
void lora_init_draw(struct adapter *a);     /* what begins at random */
/* adapter_type's start: what begins as a part of the weights. */
int lora_init_start(struct adapter *a, const struct model *m, struct pool *p, struct err *e);
/* As files have it, of twice the rank: its config (new reference), and the numbers of one made by that. */
json_t *lora_init_flat(const json_t *config);
void lora_init_join(struct adapter *flat, const struct adapter *a);

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

/* --- lora_invocation.c --- */

/* A text, or numbers of tokens as "5,17", as the config's alora_invocation_tokens. */
int lora_invocation_put(json_t *config, const struct model *m, const char *text, struct err *e);
/* What a->config has of it into a->overlay.invocation, none where it has none. */
int lora_invocation_read(struct adapter *a, const struct model *m, struct err *e);

#endif
