/* adapter: parameter-efficient tuning as hooks. A type is one file adapter_x.c. */
#ifndef ADAPT_ADAPTER_H
#define ADAPT_ADAPTER_H

#include "base/opt.h"
#include "format/safetensors.h"
#include "model/export.h"
#include "model/four_bit.h"
#include "model/overlay.h"

struct adapter_type;

/* Which modules, for types that ask: a member of the type's own options, and rows of its table. Texts as options have
 * them, NULL where nothing was said; peft_begin reads them into the config. */
struct adapter_targets {
	/* "all-linear", comma-separated ends of modules' names, or an expression for whole names; NULL: the type's own
	 * default */
	const char *target_modules;
	const char *exclude_modules;   /* the same, without "all-linear" */
	const char *modules_to_save;   /* comma-separated */
	const char *base;              /* what adapter_config.json calls the model; NULL: peft_base's word */
	/* of types that have the rows for them */
	const char *layers_to_transform, *layers_pattern;
	const char *rank_pattern, *alpha_pattern;
	const char *target_parameters; /* comma-separated ends of parameters' names */
};
#define ADAPTER_BASE_OPT(s, f) \
	OPT_STRING("base-model-name-or-path", s, f, NULL, "NAME", \
	           "what adapter_config.json calls the model, as ORG/NAME; else what the model says of itself, else " \
	           "its path")
#define ADAPTER_TARGET_OPT(s, f, init) \
	OPT_STRING("target-modules", s, f.target_modules, init, "LIST", \
	           "all-linear, or names as q_proj,v_proj, or a regular expression for whole names; embeddings and " \
	           "the head (embed_tokens,lm_head) only by name")
#define ADAPTER_SAVED_OPT(s, f) \
	OPT_STRING("modules-to-save", s, f.modules_to_save, NULL, "LIST", "modules trained whole beside the adapter")
#define ADAPTER_TARGET_OPTS(s, f, init) \
	ADAPTER_TARGET_OPT(s, f, init), \
		OPT_STRING("exclude-modules", s, f.exclude_modules, NULL, "LIST", \
	                   "of the target modules those that are left alone: names or an expression"), \
		ADAPTER_SAVED_OPT(s, f), \
		ADAPTER_BASE_OPT(s, f.base)
/* Of types whose config in PEFT has these keys. */
#define ADAPTER_LAYERS_OPTS(s, f) \
	OPT_STRING("layers-to-transform", s, f.layers_to_transform, NULL, "LIST", \
	           "of the target modules those of these layers alone, as 0,1,20-29"), \
		OPT_STRING("layers-pattern", s, f.layers_pattern, NULL, "LIST", \
	                   "what stands before a layer's number in names of modules, where the model does not say")
#define ADAPTER_PATTERN_OPTS(s, f) \
	OPT_STRING("rank-pattern", s, f.rank_pattern, NULL, "LIST", \
	           "another rank where a module's name ends so: q_proj=16,layers.0.mlp.up_proj=4; keys are " \
	           "expressions; or a JSON object"), \
		OPT_STRING("alpha-pattern", s, f.alpha_pattern, NULL, "LIST", "the same of alpha")

/* Of types with a rank; files have it as r. */
#define ADAPTER_RANK_OPT(s, f, init) { OPT_TYPE_INT, "lora-r", "r", offsetof(s, f), init, 1, 4096, NULL, "N", "rank" }

/* How files have a parameter. */
struct file_layout {
	/* the weight whose output rows its rows are (they follow the model's file in order), −1 */
	int rows_of;
	bool transposed;                   /* a matrix with its two dimensions exchanged */
	bool keys;                         /* in each row, keys and values of layer after layer: soft_prompt.h */
};

/* What adapter_start does, which takes long: for who plans. Zeros: nothing. */
struct adapter_start {
	size_t bytes;                  /* that a thread takes meanwhile */
	double flops;                  /* in doubles, of all threads */
	size_t numbers;                /* that its files have beside the parameters */
};

/* Training's rows, for one whose start follows from them, before its parameters are what they will be. */
struct adapter_feed {
	/* `watching` (hooks that look on) is laid over the model, memory for batches is taken. learnt: those rows are
	 * meant that are learnt, else all: they are the labels of the batch (op/batch.h), each its own row. */
	int (*begin)(void *ctx, const struct overlay *watching, bool learnt, struct err *e);
	int (*next)(void *ctx, struct err *e);         /* one batch, from the first again after the last */
	void *ctx;
	size_t n;                      /* batches until the first comes again; known once begun */
	struct pool *pool;
	const struct kernels *kernels;
	char *key;                     /* a text that tells these rows, of this model, from any others */
};

/* An update that was made: the step, from 1, and the gradient that it followed, scale·g, g as overlay.params. */
struct adapter_update { long step; const float *g; float scale; };

struct adapter {
	const struct adapter_type *type;
	struct overlay overlay;        /* its numbers, the modules saved whole, and where it hooks in */
	/* What it keeps beside its numbers while a run goes on, from adapter_plan on: in checkpoints, not in files. */
	struct params kept;
	struct adapter *taken;         /* [n_taken] those that lie under it and are its own (multi_adapter.h) */
	struct adapter *parent;        /* the one that it lies over in every row, frozen and its own; or NULL */
	size_t n_taken;
	struct arena mem;
	void *own;                     /* the type's: what its hooks get as overlay.ctx */
	/* adapter_config.json as it will be written; a loaded one's as it was found (base_model_name_or_path …) */
	json_t *config;
	struct file_layout *place;     /* [overlay.params.n_items] */
	/* of a type that can otherwise: why this one is no pairs, or cannot be merged; or NULL */
	const char *no_pairs, *no_merge;
	bool parts;                    /* what it adds to a tied model's embedding and head is not the same */
	/* where one parameter is embedding and head: the second name under which a file has it, else NULL */
	const char *tied_name;
	int tied;                      /* that parameter */
	size_t fixed_in_files;         /* so many of overlay.fixed, the first, are in files too, under their names */
	bool fixed_whole;              /* there as whole numbers, I32 */
	struct adapter_start start;
	bool by_rows;                  /* adapter_feed is still wanted */
};

/* scale·B·A, which is added to a weight (n_weights: a tied model's head); of an embedding A is [in,r]. */
struct adapter_factors {
	int weight, a, b;              /* a, b: the parameters */
	size_t r;
	double scale;
};

/* What an adapter is beside pairs of low rank, the first that holds: why it is none (no_pairs), modules saved whole,
 * numbers of its own of what it adds to, a type of another form. */
enum adapter_more { PAIRS_ALONE, PAIRS_HINDERED, PAIRS_AND_WHOLE, PAIRS_AND_BASE, PAIRS_NONE };

/* A row of the table. What may be NULL says so; what is not there is refused with a sentence where it is asked for. */
struct adapter_type {
	const char *name;              /* "lora" */
	const char *summary;           /* half a line, for --help */
	bool standard;                 /* --method where nobody says another; one type is */
	bool f32;                      /* learns worse over a base in int8 (doc/methods.md): that is to be asked for */
	double learning_rate;          /* at its peak, where nobody says another */
	double (*rate)(const void *options); /* the same, where its options decide; NULL: learning_rate */
	const struct opt *opts;        /* its own options (base/opt.h), or NULL */
	size_t options_size;           /* of the struct that they fill */
	/* Its whole number that its parameters grow with, for who must make it smaller; NULL: there is none. */
	const char *size_option;
	const char *peft_type;         /* "LORA"; NULL: PEFT has none; where load is NULL too no file is read as one */
	/* Of files that are not PEFT's: how their config is known, and what their weights' file is called, in
	 * safetensors and as torch.save writes it. NULL: PEFT's. */
	bool (*is)(const json_t *config);
	const char *file, *old_file;
	bool head_apart;               /* and a head that classifies is in files of its own (adapt/head_file.h) */
	const char *gguf_type;         /* adapter.type of llama.cpp's files of this type, or NULL; wants pairs */
	bool plain;                    /* in files its tensors have the model's own names, without PEFT's prefix */
	/* New, with its parameters added, sealed and initialized. options: the type's own struct. */
	int (*attach)(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e);
	/* What of a new one takes long to make, of the model's numbers; NULL: nothing does. */
	int (*start)(struct adapter *a, const struct model *m, struct pool *p, struct err *e);
	/* Of one that begins by_rows: its parameters anew, as the rows want them. NULL: none does. */
	int (*feed)(struct adapter *a, const struct model *m, struct adapter_feed *f, struct err *e);
	const struct overlay_hooks *hooks; /* NULL: all that it does is to replace weights */
	/* Training: what a new one must know of a run of so many steps, a->kept added and sealed; a term of the loss
	 * that is of its parameters alone, whose gradient, times weight, is added to g (as overlay.params); what
	 * follows an update. The last two are within a step: nothing is allocated. NULL: there is none. */
	int (*plan)(struct adapter *a, long steps, struct err *e);
	double (*term)(struct adapter *a, float *g, double weight, const struct kernels *k, struct pool *p);
	void (*updated)(struct adapter *a, const struct adapter_update *u, struct pool *p);
	/* From a PEFT folder whose config and tensors are open. Unknown non-empty keys are refused by name. */
	int (*load)(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
	            const char *dir, struct err *e);
	/* Where what is trained makes what files have: that, as an adapter of the type, which the caller releases; 1:
	 * there is nothing to be made. NULL: there never is. */
	int (*flatten)(const struct adapter *a, const struct model *m, struct adapter *flat, struct err *e);
	/* Works what the adapter does to weight (n_weights: to a tied model's head) into w (f32, [out][in], Hugging
	 * Face's order of rows); biases and norms are asked for too. NULL: it cannot be worked into weights. */
	void (*merge)(const struct adapter *a, const struct model *m, int weight, float *w);
	/* Makes anew what follows from its parameters and is kept beside them (overlay.fixed): they have other numbers
	 * now. Within a step: nothing is allocated. NULL: nothing does. */
	void (*follow)(struct adapter *a, const struct model *m, const struct kernels *k, struct pool *p);
	/* All that is added, as pairs of low rank; pairs has room for n_weights + 1. NULL: it is not of that form. */
	size_t (*pairs)(const struct adapter *a, struct adapter_factors *pairs);
};

/* What a child's adapter_config.json calls its parent's folder, and where in its own folder that is written. */
#define PARENT_KEY "parent_adapter"
#define PARENT_FOLDER "parent_adapter"

bool adapter_rows(size_t i, struct opt_row *out);   /* the table, for OPT_PICK and OPT_ROWS */
/* The type that is meant where nobody says another. */
const struct adapter_type *adapter_standard(void);
/* options: the type's own struct; NULL where it has none */
int adapter_new(struct adapter *a, const struct adapter_type *type, const struct model *m, const void *options,
                uint64_t seed, struct err *e);
/* The same by names and texts, as { "lora-r", "4", NULL }; what is not there is at its default. */
int adapter_new_named(struct adapter *a, const char *type, const struct model *m, const char *const *options,
                      uint64_t seed, struct err *e);
/* Of a new one that begins by_rows, before anything else is made of it; else nothing is done. */
int adapter_feed(struct adapter *a, const struct model *m, struct adapter_feed *f, struct err *e);
/* Once, of a new one before it is used or its parameters are filled: by who does more than plan with it. */
int adapter_start(struct adapter *a, const struct model *m, struct pool *p, struct err *e);
/* Makes of m, over which nothing lies yet, a model that classifies where the adapter in dir is one of such a model
 * (task_type SEQ_CLS); adapter_load refuses it else. How many labels there are its head says, what they are called the
 * tensors' metadata, or nobody. */
int adapter_classify(struct model *m, const char *dir, struct err *e);
/* How the adapter's base was quantized as it was read (model/four_bit.h), where it says so; else that is off. */
int adapter_base_4bit(const char *dir, struct four_bit_options *out, struct err *e);
/* a PEFT folder, or a GGUF file (gguf_adapter.h) */
int adapter_load(struct adapter *a, const char *dir, const struct model *m, struct err *e);
/* chain.c: lays `a` over a parent (mem_alloc), which stays as it is and then is a's; refused is what is more than pairs
 * of low rank. The parent again, which lies under it no more; NULL: there was none. */
int adapter_chain(struct adapter *a, struct adapter *parent, const struct model *m, struct err *e);
struct adapter *adapter_unchain(struct adapter *a);
/* The names that an adapter's files may have, config first; NULL at the end. */
extern const char *const adapter_files[];
/* Of the bytes of the files that it has, or of a GGUF file. */
int adapter_hash(const char *path, char hex[33], struct err *e);
/* adapter_config.json, adapter_model.safetensors or the type's own; of a model that classifies with its head, as PEFT
 * keeps it (task_type SEQ_CLS, modules_to_save), and with id2label and problem_type as the tensors' metadata */
int adapter_save(const struct adapter *a, const struct model *m, const char *dir, struct err *e);
void adapter_release(struct adapter *a);
/* By who trains it: before the first step; before a gradient is used, of which the loss is then this much more; after
 * an update. See adapter_type's plan, term and updated. */
int adapter_plan(struct adapter *a, long steps, struct err *e);
double adapter_term(struct adapter *a, float *g, double weight, const struct kernels *k, struct pool *p);
void adapter_updated(struct adapter *a, const struct adapter_update *u, struct pool *p);
/* To be called by who has changed its parameters (an update, a checkpoint read), before it is used. */
void adapter_follow(struct adapter *a, const struct model *m, const struct kernels *k, struct pool *p);
/* −1 and a sentence where it cannot be worked into weights. */
int adapter_check_merge(const struct adapter *a, struct err *e);
/* Weight i with the adapter worked into it, as model_weight_float gives it: f32, Hugging Face's order, [out][in]. */
void adapter_merged(const struct adapter *a, const struct model *m, int weight, float *w);
/* Products that each token goes through beside the model's own and that cannot be worked into its weights, 0 of most
 * types; *flops: their operations for one token. */
size_t adapter_products(const struct adapter *a, double *flops);
enum adapter_more adapter_more(const struct adapter *a, const struct model *m);
/* The pair that is added to a weight, of those that adapter_type's pairs gave; NULL: none, or one of scale 0. */
const struct adapter_factors *adapter_pair_of(const struct adapter_factors *pairs, size_t n, int weight);
/* Whether the adapter parts a tied model's head from its embedding; then the head with it, of the embedding's shape. */
bool adapter_unties(const struct adapter *a);
void adapter_merged_head(const struct adapter *a, const struct model *m, float *w);

/* --- for types --- */

/* Refuses a new adapter's rank where no module of it has as many rows and columns; most: the most that one has,
 * 0 where it has no module. */
int adapter_check_rank(size_t r, size_t most, struct err *e);

/* The type that a PEFT config is of, or NULL. */
const struct adapter_type *adapter_type_of(const json_t *config);
/* Nothing yet but the type and its hooks. */
void adapter_begin(struct adapter *a, const struct model *m, const struct adapter_type *type);
/* Adds a parameter to a->overlay.params. */
int adapter_param(struct adapter *a, const char *name, int n_dims, const size_t *dim, int weight,
                  struct file_layout place);
/* The model's weight trained whole: a parameter that files call `name` stands for it, and begins with its numbers. */
void adapter_whole(struct adapter *a, const struct model *m, const char *name, int weight);
/* merge of a type that does nothing but to replace weights. */
void adapter_merge_none(const struct adapter *a, const struct model *m, int weight, float *w);
/* modules_to_save (a list, or NULL): a parameter for each weight of those modules, and
 * a->overlay.replaced. */
int adapter_add_saved(struct adapter *a, const struct model *m, const json_t *modules, struct err *e);
/* Takes the memory, and a->own as the hooks' ctx; modules saved whole begin as the model's own. */
int adapter_seal(struct adapter *a, const struct model *m, struct err *e);
/* For each weight, and a tied model's head, the number of what the type has there: none yet, −1. In a->mem. */
int *adapter_site_map(struct adapter *a, const struct model *m);
/* A parameter's numbers as a new one has them, by its own counter: uniform in ±1/√columns, as PyTorch's nn.Linear
 * begins (kaiming_uniform with a = √5), or normal. */
void adapter_init_linear(struct adapter *a, int param, uint64_t seed);
void adapter_init_normal(struct adapter *a, int param, double deviation, uint64_t seed);
/* Whether the file holds exactly the adapter's tensors, judged by names and shapes; the model's own numbers of an
 * embedding or a head that is added to may be there too (base_layer), as PEFT saves them. */
int adapter_fit(const struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e);
/* Fills the parameters from a file that fits. */
int adapter_fill(struct adapter *a, const struct model *m, const struct safetensors *s, struct err *e);

extern const struct adapter_type *const adapter_type_table[]; /* generated, NULL-terminated */

#endif
