/* optim: a run's optimizer: a row of the table (train/optimizer.h) over the run's parameters.
 *
 *     optim_init → optim_start → (optim_clip → optim_step)… → optim_release
 *
 * Clipping is by global norm as torch.nn.utils.clip_grad_norm_. Parameters belong to groups (model/params.h): a group
 * has its own factor of the learning rate, and may have a norm and a clip of its own.
 *
 * What is evaluated and kept may be other weights than those that steps change: an exponential average (ema_decay),
 * which is a tensor "ema" more of each parameter's state,
 *
 *     ema ← w after the first step, then ema + (1 − decay)·(w − ema)      as torch's AveragedModel
 *
 * or what the row makes of its state. optim_show puts them where the weights are, optim_hide takes them away. */
#ifndef TRAIN_OPTIM_H
#define TRAIN_OPTIM_H

#include "train/optimizer.h"

struct optim_slot {                /* a tensor of a parameter's state, and where it lies */
	struct optim_tensor tensor;
	size_t bytes, offset;
};

struct optim {
	const struct optimizer *row;
	struct optim_settings settings;
	const struct params *params;
	const struct kernels *kernels;
	struct pool *pool;
	struct optim_slot *slots;
	size_t *first;             /* [n_items + 1] the slots of parameter i are first[i] … first[i+1] − 1 */
	double *partials, *scale;  /* of the norm's pieces; of each group's gradient */
	/* What optim_start takes: state, tables, scratch of large matrices and of each thread's small ones, gemm's. */
	size_t state_bytes, large_bytes, small_bytes, bytes;
	struct optim_cost norm, update;  /* of one step */
	char *memory;              /* [bytes] */
	/* The parameters that this process updates, first … end − 1, all unless optim_own has said otherwise; the
	 * state of the others is never touched: taken_bytes is what will be resident. */
	size_t own_first, own_end, taken_bytes;
	bool apart;                /* and the weights of the others are not here (ZeRO-3) */
};

/* Lists the state and counts; takes no memory for it yet. All but settings is borrowed; groups are complete. */
void optim_init(struct optim *o, const struct optimizer *row, const struct optim_settings *s,
                const struct params *params, const struct kernels *k, struct pool *p);
/* Of several processes that update one model (ZeRO-1): which parameters are whose, by what they have of numbers;
 * first[k] … first[k + 1] − 1 are the k-th's. And which of them this one has, before optim_start. */
void optim_deal(const struct params *p, size_t n, size_t *first);
void optim_own(struct optim *o, size_t first, size_t end);
int optim_start(struct optim *o, struct err *e);   /* takes and touches it; zero */
/* Looks at the gradient and settles what it will be multiplied by: `scale`, less where a norm is larger than allowed.
 * Returns ‖scale·g‖₂ over all parameters. max_norm: of all that have no clip of their own; 0: never. */
double optim_clip(struct optim *o, const float *g, double scale, double max_norm);
/* Its two halves: the sums of squares of the parameters that this process has, in o->partials, where those of
 * parameter i begin at optim_piece(params, i); and what follows once all of them are there. */
void optim_square(struct optim *o, const float *g);
double optim_settle(struct optim *o, double scale, double max_norm);
/* Whether a gradient of this norm, cut to max_norm, is so short that the row's step is no step. */
bool optim_vanishes(const struct optim *o, double norm, double max_norm);
size_t optim_piece(const struct params *p, size_t param);
/* One update of what this process has of params->w; t counts from 1. */
void optim_step(struct optim *o, const float *g, double rate, long t);
bool optim_averages(const struct optim *o);        /* there are such other weights */
/* After the first step: what this process has of params->w becomes them. kept: [params->n] gets what all were; NULL:
 * they never come back. optim_hide: with what was kept they do, bit for bit. */
void optim_show(const struct optim *o, float *kept);
void optim_hide(const struct optim *o, const float *kept);
size_t optim_slots(const struct optim *o);         /* number of all tensors of the state */
void *optim_data(const struct optim *o, size_t slot);
void optim_release(struct optim *o);
/* Of one clip and step: runs a little of them, for some hundredths of a second. o need not be started. copy_rate: bytes
 * a second of memory read and written. */
int optim_seconds(const struct optim *o, double copy_rate, double *seconds, struct err *e);

/* ‖scale·g‖₂ over all parameters: the sum of squares in table order, pieces of 64 Ki summed in double: same bits
 * for any thread count. */
double optim_norm(const struct kernels *k, struct pool *p, const struct params *params, const float *g, double scale,
                  double *partials);
size_t optim_partials(const struct params *params);  /* doubles that optim_norm needs */

#endif
