/* trainer: a pull loop: one call, one optimizer step, metrics back; the caller owns time.
 *
 *     trainer_open → (trainer_step → [trainer_eval] → [trainer_save])… → trainer_finish → trainer_close
 *
 * The gradient of a step is the sum over all supervised tokens of the global batch divided by their number. Micro-batches
 * in order are the leaves of a fixed binary tree, so nothing about the split shows in the bits. */
#ifndef LEARN_TRAINER_H
#define LEARN_TRAINER_H

#include "adapt/adapter.h"
#include "base/pool.h"
#include "data/forest.h"
#include "learn/objective.h"
#include "learn/optim.h"
#include "learn/recipe.h"
#include "learn/schedule.h"

struct trainer;

struct trainer_plan {               /* the dry run: what the job needs */
	size_t planned_bytes;           /* peak resident set of the process */
	size_t arena_bytes, state_bytes, scratch_bytes, weights_bytes, data_bytes, base_bytes; /* its parts; they add up */
	size_t disk_bytes;              /* checkpoints and result */
	double planned_flops, planned_seconds;
	long steps, micro_batches;
	double epochs;
	int64_t documents, tokens, computed_tokens, supervised_tokens;
	uint32_t recomputed_nodes;
	size_t trainable, parameters;
};

struct step_metrics {
	long step;                      /* steps done, from 1 */
	double loss, grad_norm, learning_rate, epoch;
	double seconds;                 /* of this step */
	int64_t tokens, computed_tokens, supervised_tokens;
	double flops;
};

struct eval_metrics {
	double eval_loss, perplexity, seconds;
	int64_t tokens;
	double acc, acc_norm, acc_stderr, acc_norm_stderr; /* choice rows; else NAN */
	int64_t n;
};

/* Reads model and data, records and plans; takes no training memory yet. */
int trainer_open(struct trainer **t, const struct recipe *r, struct pool *pool, const struct kernels *k, struct err *e);
const struct trainer_plan *trainer_plan(struct trainer *t);
/* Takes and touches all memory. dir: a checkpoint to continue from, or NULL. */
int trainer_start(struct trainer *t, const char *checkpoint, struct err *e);
int trainer_step(struct trainer *t, struct step_metrics *m, struct err *e);   /* -1 with a sentence when the loss is not finite; nothing is updated then */
bool trainer_done(const struct trainer *t);
long trainer_steps_done(const struct trainer *t);
int trainer_eval(struct trainer *t, struct eval_metrics *m, struct err *e);   /* on --eval-data */
int trainer_save(struct trainer *t, const char *dir, struct err *e);          /* a checkpoint folder, atomically */
int trainer_result(struct trainer *t, const char *dir, struct err *e);        /* the adapter or the model, into the run directory */
const struct model *trainer_model(const struct trainer *t);
const struct adapter *trainer_adapter(const struct trainer *t);               /* NULL for full */
void trainer_close(struct trainer *t);

#endif
