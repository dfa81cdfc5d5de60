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

enum { OPTIM_PIECE = 65536, OPTIM_STATES = 5 };

/* What the recipe says to all of them (transformers' TrainingArguments). */
struct optim_settings {
	double learning_rate;      /* at its peak */
	double weight_decay;
	double ema_decay;          /* of an average of the weights beside them; 0: none is kept */
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
	bool normalized;           /* its step grows with neither gradient nor weights: muP (model/mup.h) holds */
	const char *schedule;      /* the --lr-scheduler-type that it wants; NULL: linear */
	/* The root mean square of gradients far below which its step is no step; NULL: the least that a float holds. */
	double (*least)(const void *options);
	const struct opt *opts;    /* its own options, or NULL */
	size_t options_size;

	/* options, here and below: the row's own struct, or NULL where it has none. */
	/* Lists the parameter's state into out; how many, less than OPTIM_STATES: an average may come beside. */
	int (*state)(const struct param *p, const void *options, struct optim_tensor *out);
	/* Constant tables that updates look into: their bytes, and filling them. */
	size_t tables_bytes;
	void (*tables)(void *out);
	/* Whether a parameter is taken whole; NULL: none is. products: then gemm_scratch is there. */
	bool (*whole)(const struct param *p);
	bool products;
	size_t (*scratch)(const struct param *p, const void *options);
	/* What is done once for a parameter before a step's pieces of it (a number of the state that follows the rate);
	 * or NULL. */
	void (*begin)(const struct optim_update *u);
	/* Changes numbers at … at+n−1 of the parameter and of its state; those taken whole: 0 … param->n−1. Pieces
	 * run beside each other. */
	void (*update)(const struct optim_update *u, size_t at, size_t n);
	/* Of a row whose weights are not those that count: u->w becomes those, from the state; its pieces likewise, of
	 * parameters that are taken whole too. g, rate and t are none there. NULL: they are. */
	void (*averaged)(const struct optim_update *u, size_t at, size_t n);
	struct optim_cost (*cost)(const struct param *p, const void *options);
};

extern const struct optimizer *const optimizer_table[];  /* generated, NULL-terminated */
bool optimizer_rows(size_t i, struct opt_row *out);      /* the table, for OPT_PICK and OPT_ROWS */
/* By its name or one that means it; NULL: the standard one. NULL for none. */
const struct optimizer *optimizer_find(const char *name);

/* --- for rows --- */

/* What rows in the manner of AdamW ask for: a member of the row's own struct, and rows of its table. */
struct adamw_options {
	double beta1, beta2, epsilon;
	bool cautious;
};
/* Weights decay only where the step makes them smaller (Chen and others 2025, cautious weight decay): where the step's
 * direction u, which is subtracted, and the weight have u·w ≥ 0. */
#define CAUTIOUS_OPT(s, f) \
	OPT_FLAG("cautious-weight-decay", s, f, "false", "only weights that the step makes smaller decay")
#define ADAMW_OPTS(s, f) \
	OPT_FLOAT("adam-beta1", s, f.beta1, "0.9", 0, 0.9999999, "how slowly the first moment follows"), \
		OPT_FLOAT("adam-beta2", s, f.beta2, "0.999", 0, 0.9999999, "how slowly the second moment follows"), \
		OPT_FLOAT("adam-epsilon", s, f.epsilon, "1e-8", 1e-30, 1, "added to the second moment's root"), \
		CAUTIOUS_OPT(s, f.cautious)
/* For rows that have no others: of struct adamw_options itself. */
extern const struct opt adamw_opts[];

/* A tensor of the parameter's own shape in f32. */
struct optim_tensor optim_tensor_like(const struct param *p, const char *name);
/* Lists m and v so; 2. */
int adamw_state(const struct param *p, const void *options, struct optim_tensor *out);
double adamw_least(const void *options);
/* AdamW's scalars of this step at a learning rate. Made in double and rounded to float, as torch does for float
 * tensors. */
struct adamw_step adamw_scalars(const struct optim_update *u, const struct adamw_options *o, double rate);
/* AdamW's update of n numbers; of o, whether their decay is cautious. */
void adamw_update(const struct kernels *k, const struct adamw_options *o, const struct adamw_step *s, float *w,
                  const float *g, float *m, float *v, size_t n);
/* reads w, g, m, v and writes w, m, v */
struct optim_cost adamw_cost(const struct param *p, const void *options);

#endif
