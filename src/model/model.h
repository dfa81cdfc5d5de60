/* model: weights by name, and the architecture that knows what to do with them.
 *
 * An architecture is one file arch_x.c: tables of its facts and of its weights, and the forward of its parts. The
 * tables alone drive reading, loading, counting, adapters and saving. Weights stay where the file has them (mapped). */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "format/source.h"
#include "kernel/gemm.h"
#include "model/params.h"
#include "model/rope.h"
#include "op/run.h"

struct arch;
struct init;
struct init_rule;
struct labels;
struct config_field;
struct config_source;

/* What everyone reads of a model; the letter is what shapes call it. The rest is the architecture's own. */
struct config {
	const struct arch *arch;
	int n_layers;                  /* L: blocks */
	int C;                         /* width of the residual stream, [tokens][C] */
	int H, G;                      /* query heads, and the key-value heads that they share in groups of H/G */
	int D;                         /* numbers of a head: queries are [tokens][H·D], keys and values [tokens][G·D] */
	int F;                         /* hidden width of the feed-forward, [tokens][F] */
	int V;                         /* rows of the embedding and of the head: logits are [tokens][V] */
	int n_ctx;                     /* P: positions the model was made for */
	double norm_eps;               /* added to a norm's mean square */
	double clip_qkv;               /* q, k and v lie within ± this before they turn; 0: where they do */
	double rope_theta;             /* base of the rotary angles; 0: positions are not rotary */
	double rotary;                 /* share of a head's numbers that turn, from 0 to 1 */
	struct rope_scaling rope_scaling; /* what the file says of them */
	struct rope rope;              /* and the angles that this makes */
	bool tied;                     /* head and embedding are one matrix */
	int labels;                    /* Y: outputs of a head that classifies, where the table has one */
	/* Of a mixture: whether its config.json wants a loss that balances experts when it is trained, and how much of
	 * it; no number of the forward. */
	bool balances;
	double balance;
	bool rope_interleaved;         /* GGUF's q and k rows are permuted so that pairs are neighbours */
	bool qkv_apart;                /* GGUF's rows of one matrix of q, k and v are all of q, then k, then v */
	void *own;                     /* [arch->own_bytes] the architecture's own facts */
};

enum weight_flags {
	WEIGHT_LINEAR = 1,    /* a matrix [out][in] used by nn_linear: adapters may attach */
	WEIGHT_EMBED = 2, WEIGHT_HEAD = 4, WEIGHT_NORM = 8, WEIGHT_BIAS = 16,
	WEIGHT_ROPE = 32,        /* rows permuted in GGUF, per head (weights.h) */
	WEIGHT_TRANSPOSED = 64,  /* Hugging Face stores [in][out] (GPT-2's Conv1D) */
	WEIGHT_OPTIONAL = 128,   /* there or not, as the file has it: in every layer or in none */
	WEIGHT_PLUS_ONE = 256,   /* a vector, 1 + what Hugging Face stores; GGUF stores the sum (Gemma's norms) */
	WEIGHT_QKV = 1024,       /* q, k and v in one, whose rows GGUF has in another order (weights.h) */
	WEIGHT_LATER = 2048,     /* not of layer 0, whose tensor, if there is one, nothing is computed with */
	WEIGHT_ROW = 32768,      /* a vector, [1][1][n] in Hugging Face's files */
	/* of the layers that are dense among a mixture's, and of the others alone (arch.is_dense) */
	WEIGHT_OF_DENSE = 65536, WEIGHT_OF_EXPERTS = 131072,
	WEIGHT_IGNORED = 512,    /* files have it, nothing is computed with it */
	/* Parts that a model may be without, each there as a whole or not at all. A row of several is there where one
	 * of them is, and alone says of none. */
	WEIGHT_OF_HEAD = 4096,       /* of masked tokens */
	WEIGHT_OF_POOLER = 8192,     /* a linear on the first token's state */
	WEIGHT_OF_CLASSIFIER = 16384,
	WEIGHT_PARTS = WEIGHT_OF_HEAD | WEIGHT_OF_POOLER | WEIGHT_OF_CLASSIFIER,
};

/* The tensor in which Hugging Face's files may have a weight with others of its layer (fused.h). */
struct weight_fused {
	const char *hf;       /* "model.layers.%d.mlp.experts.gate_up_proj"; of all experts */
	int parts, part;      /* it holds the rows of so many weights, of which this one is number `part` */
	bool alternate;       /* a row of each in turn; else all of one, then all of the next */
	bool turned;          /* [in][out], which WEIGHT_TRANSPOSED is not asked for */
	bool written;         /* folders are written so */
};

/* A row: a weight, or one of each layer where the name has a "%d". */
struct weight_spec {
	/* "model.layers.%d.self_attn.q_proj.weight", others that files may have behind it; of experts with a second
	 * %d, the expert */
	const char *hf;
	const char *gguf;     /* "blk.%d.attn_q.weight", others that files may have behind it; NULL: not in GGUF */
	/* Sums of products of numbers and letters of the architecture's tables, outermost first: "HD,C" "HD+2GD,C" "V".
	 * Three are experts' matrices, "E,F,C": with a second %d in the name each is a weight by itself, as GGUF's one
	 * tensor of three dimensions holds them, else they are one. Where a dimension is 0 there is no such weight:
	 * "bHD" with a flag b. NULL: ignored. */
	const char *shape;
	unsigned flags;
	const struct weight_fused *fused; /* or NULL */
};

struct weight {
	const struct weight_spec *spec;
	int layer, expert;    /* −1 outside the blocks, of no expert */
	char *name;           /* Hugging Face's, filled in */
	int n_dims;
	size_t dim[3];        /* [out][in] for linears, whatever the file's order; [expert][out][in] */
	enum dtype dtype;
	const void *data;     /* rows of the last dimension; all vectors are f32 */
	size_t bytes;
	bool owned;           /* data are not in the file's map: converted, transposed, copied from an unaligned file */
	bool made;            /* of no file: a head that a new classifier begins with (classifier.h) */
	void *copy;           /* transposed numbers, unmapped by model_close; NULL: none */
	void *panels, *transposed; /* see prepare.h; NULL: not made */
};

enum compute { COMPUTE_F32, COMPUTE_INT8 }; /* arithmetic of products with quantized matrices */

struct four_bit {
	size_t matrices, bytes;
	double error, size, most;      /* Σ (w − q)², Σ w², max |w − q| */
};

struct model {
	struct arena mem;
	struct config config;
	struct source source;
	struct weight *weights;
	size_t n_weights;
	struct tokenizer *tokenizer;   /* NULL before model_tokenizer */
	int first_new, n_new;          /* tokens that its files do not have (new_tokens.h); n_new 0: there are none */
	const struct labels *labels;   /* of a model that classifies (classifier.h), else NULL */
	enum compute compute;
	bool gguf_rows;                /* rows lie as GGUF has them though its files are a folder (weights_as_gguf) */
	size_t prepared_bytes;
	const struct init *init;       /* of a model from nothing (init.h), else NULL */
	enum dtype in_4bit;            /* what its linears became as it was read (four_bit.h); DTYPE_F32: nothing */
	struct four_bit four_bit;
};

struct graph;
struct linear;

struct arch {
	const char *name;                /* "llama" */
	/* config.json's model_type, NULL-terminated; the first is written; none: transformers has no such model */
	const char *const *hf_types;
	const char *hf_class;            /* "LlamaForCausalLM"; NULL: hf_types has none */
	/* its class that classifies, where that is not hf_class, without its end, and ForSequenceClassification; "":
	 * there is none */
	const char *hf_classifier;
	const char *gguf;                /* general.architecture, NULL: not read from GGUF */
	/* where two share that name: its files have a number above 0 under this key after "<gguf>.", the other's not */
	const char *gguf_with;
	/* Facts as another architecture's GGUF files have them, own in mem; NULL: gguf's, as they are. */
	int (*to_gguf)(const struct config *c, struct config *out, struct arena *mem, const char *where, struct err *e);
	const struct config_field *const *fields; /* config.h's tables, NULL-terminated */
	size_t own_bytes;                /* of the struct that config.own is, 0: none */
	/* facts that no row says, after the rows; NULL: none */
	int (*config)(struct config *c, const struct config_source *s, struct err *e);
	/* ends with hf NULL; rows with %d repeat for each layer, neighbouring ones together */
	const struct weight_spec *weights;
	const struct init_rule *init;    /* how weights of it begin that begin otherwise (init.h); NULL: none does */
	/* whether a layer of a mixture has the rows WEIGHT_OF_DENSE, not those WEIGHT_OF_EXPERTS; NULL: none has */
	bool (*is_dense)(const struct config *c, int layer);
	const char *prefix;              /* of all names but the head's; files of the model without its head lack it */
	uint32_t (*embed)(struct graph *g);                       /* N,C */
	/* transformers' embedding itself multiplies its rows by √C; what is put beside them is not multiplied */
	bool embeds_scaled;
	uint32_t (*block)(struct graph *g, int layer, uint32_t x); /* N,C → N,C */
	uint32_t (*norm)(struct graph *g, uint32_t x);            /* the final norm; x where there is none */
	/* Attention goes both ways and a row predicts its own token, which is masked; `transform` is what that head
	 * does before its matrix. */
	bool encoder;
	bool rope_told;                 /* plain positions are written too: transformers takes others for none */
	uint32_t (*transform)(struct graph *g, uint32_t x);       /* R,C */
	/* Of an encoder: its labels' outputs, for each text whose first row is a target, from what follows the last
	 * block; and which of WEIGHT_PARTS its weights are of. NULL: it does not classify. Decoders share one way. */
	uint32_t (*classify)(struct graph *g, uint32_t hidden);   /* N,C → R,Y */
	unsigned classifier;
	/* adds to the head x·Wᵀ its bias, its scale and the soft cap of its logits; NULL: it has none of them */
	void (*logits)(struct graph *g, struct linear *head, float *cap);
	const char *head;                /* spec name of the head, and of the embedding that stands in when tied */
	const char *embedding;
	/* what stands in the place of keys and values, in words; NULL: they are there */
	const char *state;
};

/* Facts and weights. What reads or writes text opens the tokenizer too: a model without one is run by ids. */
int model_open(struct model *m, const char *path, struct err *e);
/* Facts alone, n_weights is 0: a folder's weights need not be there. */
int model_open_facts(struct model *m, const char *path, struct err *e);
/* The same of m->source, which has a config.json and may have nothing else; where: its name, for sentences. */
int model_read_facts(struct model *m, const char *where, struct err *e);
/* m->tokenizer, unless it is open already; a model that has none is refused, and one that has another model's. */
int model_tokenizer(struct model *m, struct err *e);
/* The same for who puts around a text all that the tokenizer wants there; model_tokenizer warns that it is not done. */
int model_tokenizer_whole(struct model *m, struct err *e);
void model_close(struct model *m);
/* its index, of experts the first one's (the others follow it); −1: not there */
int model_weight(const struct model *m, const char *spec_hf, int layer);
int model_weight_by_name(const struct model *m, const char *name);        /* full name, −1 */
size_t model_count(const struct model *m);                       /* parameters */
/* Those that are at work on a token: of experts, the share K of E that is chosen. */
size_t model_count_active(const struct model *m);
/* How many experts a row goes to, the table's letter K, of how many, its E; 0 where there are none. */
int model_experts(const struct model *m, int *of);
/* Weight i as f32 in Hugging Face's order and orientation ([out][in] for linears, q and k rows unpermuted). */
void model_weight_float(const struct model *m, int i, float *out);
/* The same as its file has it, of one that became 4-bit floats as it was read (four_bit.h). */
void model_weight_original(const struct model *m, int i, float *out);
/* Refuses a model b that has not the same weights as a, in name and shape, whatever their dtypes: a sentence with
 * `name`, which is b's. */
int model_same_weights(const struct model *a, const struct model *b, const char *name, struct err *e);
/* The head's weight index (the embedding's when tied). */
int model_head(const struct model *m);
/* Whether it predicts tokens: an encoder's file may be without its head. */
bool model_predicts(const struct model *m);
int model_types(const struct model *m);                         /* rows of a table of types of tokens, 0: none */
bool model_has_part(const struct model *m, unsigned part);       /* one of WEIGHT_PARTS */
/* Refuses an encoder, and a model that classifies, where a next token is wanted, and says what it is for. */
int model_want_causal(const struct model *m, struct err *e);
/* Refuses what does not predict hidden tokens. */
int model_want_masked(const struct model *m, struct err *e);
/* What its parameter is to an optimizer. A tied model's one matrix is its embedding. */
enum param_role weight_role(const struct weight *w);
/* A tied model's head as if it were a weight of its own: the embedding's numbers under the head's name and row of the
 * table. */
struct weight model_tied_head(const struct model *m);

extern const struct arch *const arch_table[];   /* generated from src/model/arch_*.c, NULL-terminated */

#endif
