/* lora: what the files of LoRA share: adapter_lora.c (config, modules, how it is computed) and its variants. */
#ifndef ADAPT_LORA_H
#define ADAPT_LORA_H

#include "adapt/adapter.h"
#include "adapt/token_rows.h"
#include "base/pool.h"
#include "model/graph.h"

/* What a new one begins as; LORA_EVA by training's rows (lora_eva.c), from LORA_LOFTQ on of the weight, from LORA_PISSA
 * on it is taken out again (lora_init.c). */
enum lora_start {
	LORA_PLAIN, LORA_GAUSSIAN, LORA_ORTHOGONAL, LORA_EVA, LORA_LOFTQ, LORA_PISSA, LORA_PISSA_NITER, LORA_OLORA
};
struct lora_init { enum lora_start start; int rounds; };

/* LoRA+: B learns at so many times the rate of A; the rate of adapters of embeddings. */
struct lora_rates { double b_ratio, embedding_rate; };

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

/* What the config says of all modules. */
struct lora_terms { double r, alpha, dropout; bool rslora, dora, bias; };

/* A tensor of all experts of a layer that is added to as a whole (lora_parameters.c). */
struct lora_fused {
	const struct weight_fused *as;
	size_t experts, r, in, out;    /* out: rows of one part */
	int first;                     /* parameters from here on: each expert's A and B of each part; A, B in files */
};

struct lora {
	struct lora_site *sites;
	size_t n;
	struct lora_fused *fused;
	size_t n_fused;
	bool as_files;         /* it only is what files have of its parameters, and computes nothing */
	bool no_modules;       /* experts are parameters in the file, as in transformers: target_modules means none */
	int *site_of;          /* [n_weights + 1], −1; of a bias that lora_bias adds to, its module's */
	float dropout;
	struct lora_init init;
	uint64_t seed;         /* of a new one, as the next */
	struct lora_rates rates;
	struct token_rows tokens;      /* trained beside: trainable_token_indices */
};

/* A site without parameters at weight, which becomes the last. */
struct lora_site *lora_site_add(struct lora *o, int weight, const struct weight *w, size_t r, double alpha,
                                const struct lora_terms *t);
/* A and B of a matrix that is a module's, or has the names of one. */
int lora_site_matrix(struct adapter *a, const struct model *m, int weight, const struct weight *w, const char *module,
                     const char *key, const struct lora_terms *t, struct err *e);

/* --- lora_parameters.c --- */

/* Adds what target_parameters mean; refused is what PEFT has no such adapter with. */
int lora_parameters_add(struct adapter *a, const struct model *m, const struct lora_terms *t, struct err *e);
/* That each entry of a new one means a parameter. */
int lora_parameters_known(struct adapter *a, const struct model *m, struct err *e);
/* Numbers to and from one that is as files are. */
void lora_parameters_join(struct adapter *files, const struct adapter *a);
void lora_parameters_part(struct adapter *a, const struct adapter *files);

/* PEFT's LoraConfig with nothing asked for, which kin of LoRA have too; new. */
json_t *lora_config_blank(void);
/* A new one in a's place, of another config (taken), all else as it was asked for, begun as plain. */
int lora_remake(struct adapter *a, const struct model *m, json_t *config, struct err *e);

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

/* --- lora_eva.c --- */

/* PEFT's eva_config of a new one into `own`: its defaults, and what the text, or NULL, says. */
int lora_eva_put(json_t *own, const char *text, struct err *e);
/* Refuses what cannot begin so. */
int lora_eva_site(struct adapter *a, const struct lora_site *s, const struct weight *w, const char *module,
                  struct err *e);
int lora_eva_feed(struct adapter *a, const struct model *m, struct adapter_feed *f, struct err *e);

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
