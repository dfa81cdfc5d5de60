/* model: weights by name, and the architecture that knows what to do with them.
 *
 * An architecture is one file arch_x.c: how its config is read, a table of weights, and the forward of its parts.
 * The table alone drives loading, counting, adapters, saving. Weights stay where the file has them (mapped). */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "format/source.h"
#include "kernel/gemm.h"
#include "model/params.h"
#include "op/run.h"

struct arch;

struct config {
	const struct arch *arch;
	int n_layers, C, H, G, D, F, V;
	int n_ctx;                     /* positions the model was made for */
	double norm_eps, rope_theta;
	bool tied;                     /* head and embedding are one matrix */
	bool rope_interleaved;         /* GGUF's q and k rows are permuted so that pairs are neighbours */
	bool bias;                     /* linears of the attention have a bias (Llama's family) */
};

enum weight_flags {
	WEIGHT_LINEAR = 1,    /* a matrix [out][in] used by nn_linear: adapters may attach */
	WEIGHT_EMBED = 2, WEIGHT_HEAD = 4, WEIGHT_NORM = 8, WEIGHT_BIAS = 16,
	WEIGHT_ROPE = 32,        /* rows permuted in GGUF, per head (weights.h) */
	WEIGHT_TRANSPOSED = 128, /* Hugging Face stores [in][out] (GPT-2's Conv1D) */
	WEIGHT_IF_BIAS = 256,    /* there only when config.bias */
	WEIGHT_IGNORED = 512,    /* files have it, nothing is computed with it */
};

struct weight_spec {
	const char *hf;       /* "model.layers.%d.self_attn.q_proj.weight"; %d: the layer */
	const char *gguf;     /* "blk.%d.attn_q.weight", NULL: not in GGUF */
	/* letters of config, outermost first, products allowed: "HD,C" "V,C" "C" "3C"; P: n_ctx. NULL: ignored */
	const char *shape;
	unsigned flags;
};

struct weight {
	const struct weight_spec *spec;
	int layer;            /* −1 outside the blocks */
	char *name;           /* Hugging Face's, with the layer filled in */
	int n_dims;
	size_t dim[2];        /* [out][in] for linears, whatever the file's order */
	enum dtype dtype;
	/* rows of dim[1]; in `owned` memory where it had to be transposed, or converted to f32 (all vectors are) */
	const void *data;
	size_t bytes;
	bool owned;           /* data are not in the file's map: converted, transposed, copied from an unaligned file */
	void *copy;           /* transposed numbers, unmapped by model_close; NULL: none */
	void *panels, *transposed; /* see prepare.h; NULL: not made */
};

enum compute { COMPUTE_F32, COMPUTE_INT8 }; /* arithmetic of products with quantized matrices */

struct model {
	struct arena mem;
	struct config config;
	struct source source;
	struct weight *weights;
	size_t n_weights;
	struct tokenizer *tokenizer;
	enum compute compute;
	size_t prepared_bytes;
};

struct graph;

struct arch {
	const char *name;                /* "llama" */
	const char *const *hf_types;     /* config.json's model_type, NULL-terminated */
	const char *gguf;                /* general.architecture, NULL: not read from GGUF */
	int (*config_hf)(struct config *c, const json_t *j, const char *where, struct err *e);
	int (*config_gguf)(struct config *c, const struct gguf *g, struct err *e);
	/* ends with hf NULL; rows with %d repeat for each layer, neighbouring ones together */
	const struct weight_spec *weights;
	const char *prefix;              /* of all names but the head's; files of the model without its head lack it */
	uint32_t (*embed)(struct graph *g);                       /* N,C */
	uint32_t (*block)(struct graph *g, int layer, uint32_t x); /* N,C → N,C */
	uint32_t (*norm)(struct graph *g, uint32_t x);            /* the final norm */
	const char *head;                /* spec name of the head, and of the embedding that stands in when tied */
	const char *embedding;
	/* config.json for a model that came from GGUF, without ids of tokens and dtype; new reference. NULL when gguf
	 * is. */
	json_t *(*config_json)(const struct config *c);
};

int model_open(struct model *m, const char *path, struct err *e); /* config, weights, tokenizer */
void model_close(struct model *m);
int model_weight(const struct model *m, const char *spec_hf, int layer);  /* index, −1: not there */
int model_weight_by_name(const struct model *m, const char *name);        /* full name, −1 */
size_t model_count(const struct model *m);                       /* parameters */
/* Weight i as f32 in Hugging Face's order and orientation ([out][in] for linears, q and k rows unpermuted). */
void model_weight_float(const struct model *m, int i, float *out);
/* The head's weight index (the embedding's when tied). */
int model_head(const struct model *m);
/* What its parameter is to an optimizer. A tied model's one matrix is its embedding. */
enum param_role weight_role(const struct weight *w);
/* A tied model's head as if it were a weight of its own: the embedding's numbers under the head's name and row of the
 * table. */
struct weight model_tied_head(const struct model *m);

extern const struct arch *const arch_table[];   /* generated from src/model/arch_*.c, NULL-terminated */

#endif
