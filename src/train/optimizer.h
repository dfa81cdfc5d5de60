/* optimizer: how weights follow gradients. One file optimizer_x.c a row of the table.
 *
 * A row says what it keeps for a parameter (named tensors of any dtype and shape, which begin as zero bytes), how one
 * step changes weights and state, and what that takes. Memory, the plan, the forecast of time, checkpoints and `info`
 * read the row; none of them knows an optimizer.
 *
 * Work is dealt out in pieces of OPTIM_PIECE numbers of one parameter, in the order of the table, so that no bit
 * depends on threads. A row may take parameters whole instead (a matrix that is orthogonalized): then it gets scratch,
 * and may run products and lists of its own on the pool. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "base/opt.h"
#include "base/pool.h"
#include "kernel/kernels.h"
#include "model/params.h"

enum { OPTIM_PIECE = 65536, OPTIM_STATES = 4 };

/* What the recipe says to all of them (transformers' TrainingArguments). */
struct optim_settings {
	double learning_rate;      /* at its peak */
	double weight_decay;
	const void *options;       /* the row's own struct, borrowed; NULL where it has none */
};

/* One tensor of a parameter's state. */
struct optim_tensor {
	const char *name;          /* "m": in a checkpoint "m." and the parameter's name; not "w" */
	enum dtype dtype;
	int n_dims;
	size_t dim[4];
};

/* Operations and bytes read and written of one step. */
struct optim_cost { double flops, bytes; };

/* What an update is given: one parameter in one step. */
struct optim_update {
	const struct kernels *kernels;
	struct pool *pool;
	const struct optim_settings *settings;
	const struct param *param;
	float *w;                  /* [param->n] */
	const float *g;            /* [param->n], to be multiplied by g_scale */
	void *const *state;        /* as many as the row lists, in its order */
	const void *tables;
	double g_scale;            /* clipping and the loss's division */
	double rate;               /* the step's learning rate times the parameter's group's */
	double decay;              /* weight decay; 0 for vectors */
	long t;                    /* the step, from 1 */
	/* Of parameters taken whole alone: the row's bytes, aligned to 64; and what gemm_run wants of its own. */
	void *scratch, *gemm_scratch;
};

struct optimizer {
	const char *name;          /* "adamw" */
	const char *summary;       /* half a line */
	const char *const *also;   /* what else means it: transformers' names for --optim; NULL-terminated, or NULL */
	bool standard;             /* the one that a recipe means that names none; one row is */
	double rate;               /* its usual learning rate as a multiple of the method's */
	const struct opt *opts;    /* its own options, or NULL */
	size_t options_size;

	/* Lists the parameter's state into out; how many, at most OPTIM_STATES. */
	int (*state)(const struct param *p, struct optim_tensor *out);
	/* Constant tables that updates look into: their bytes, and filling them. */
	size_t tables_bytes;
	void (*tables)(void *out);
	/* Whether a parameter is taken whole; NULL: none is. */
	bool (*whole)(const struct param *p);
	size_t (*scratch)(const struct param *p);
	/* Changes numbers at … at+n−1 of the parameter and of its state; those taken whole: 0 … param->n−1. Pieces
	 * run beside each other. */
	void (*update)(const struct optim_update *u, size_t at, size_t n);
	struct optim_cost (*cost)(const struct param *p);
};

extern const struct optimizer *const optimizer_table[];  /* generated, NULL-terminated */
bool optimizer_rows(size_t i, struct opt_row *out);      /* the table, for OPT_PICK and OPT_ROWS */
/* By its name or one that means it; NULL: the standard one. NULL for none. */
const struct optimizer *optimizer_find(const char *name);

/* --- for rows --- */

/* What rows in the manner of AdamW ask for: a member of the row's own struct, and rows of its table. */
struct adamw_options { double beta1, beta2, epsilon; };
#define ADAMW_OPTS(s, f) \
	OPT_FLOAT("adam-beta1", s, f.beta1, "0.9", 0, 0.9999999, "how slowly the first moment follows"), \
		OPT_FLOAT("adam-beta2", s, f.beta2, "0.999", 0, 0.9999999, "how slowly the second moment follows"), \
		OPT_FLOAT("adam-epsilon", s, f.epsilon, "1e-8", 0, 1, "added to the second moment's root")
/* For rows that have no others: of struct adamw_options itself. */
extern const struct opt adamw_opts[];

/* Lists m and v as the parameter's own shape in f32; 2. */
int adamw_state(const struct param *p, struct optim_tensor *out);
/* AdamW's scalars of this step at a learning rate. Made in double and rounded to float, as torch does for float
 * tensors. */
struct adamw_step adamw_scalars(const struct optim_update *u, const struct adamw_options *o, double rate);
/* reads w, g, m, v and writes w, m, v */
struct optim_cost adamw_cost(const struct param *p);

#endif
