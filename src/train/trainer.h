/* trainer: a pull loop: one call, one optimizer step, metrics back; the caller owns time.
 *
 *     trainer_open → trainer_start → [trainer_load] → (trainer_step → [trainer_eval] → [trainer_save])… →
 * trainer_result → trainer_close
 *
 * The gradient of a step is the sum over all supervised tokens of the global batch divided by their number.
 * Micro-batches in order are the leaves of a fixed binary tree, so nothing about the split shows in the bits. Which
 * documents a step takes is a function of its number: epoch = step / steps_per_epoch, and a keyed permutation of that
 * epoch. */
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "adapt/adapter.h"
#include "base/pool.h"
#include "data/forest.h"
#include "train/objective.h"
#include "train/optim.h"
#include "train/ranks.h"
#include "op/pass.h"
#include "train/recipe.h"
#include "train/schedule.h"

struct trainer;
struct trace;

struct trainer_plan {               /* the dry run: what the job needs */
	size_t planned_bytes;           /* peak resident set of the process */
	/* Its parts; they add up. base: program, libraries, tokenizer, data as read; eval: the evaluation's own
	 * arena. */
	size_t weights_bytes, state_bytes, arena_bytes, scratch_bytes, batch_bytes, eval_bytes, base_bytes;
	size_t kl_bytes;                /* a part too: what --kl-to-base runs in, or 0 */
	size_t made_bytes;              /* and what an objective makes its documents with */
	/* of base_bytes: reading and planning had taken so much more than the steps will */
	size_t past_bytes;
	size_t checkpoint_bytes, disk_bytes; /* one checkpoint; all that will be on disk at once */
	/* of the whole command: all operations, of them those in int8; seconds, whose parts follow */
	double planned_flops, planned_int_ops, planned_seconds;
	double open_seconds;            /* reading model and data, planning: as it took just now */
	/* taking memory, and the reference's log-probabilities where the objective wants them; all steps; all
	 * evaluations; checkpoints and result */
	double start_seconds, step_seconds, eval_seconds, save_seconds;
	/* of comparing the model with what it was; of start_seconds, drawing texts for it where none are kept */
	double forgetting_seconds, drawing_seconds;
	size_t safety_pairs;            /* of prompts, by which what is refused is measured then too; 0: it is not */
	int64_t forgetting_tokens;      /* on which what is forgotten is measured; 0: it is not */
	/* first: steps that an earlier process has done; what follows, and flops and seconds, is of those after it */
	long steps, first, steps_per_epoch;
	long micro_batches;
	double epochs;
	int64_t documents, tokens, computed_tokens, supervised_tokens; /* documents: rows to learn from */
	double bytes_per_token, eval_bytes_per_token; /* of the text, of shards; NAN: not known */
	int64_t kl_tokens;              /* of prompts, that --kl-to-base compares in all steps */
	int64_t longest;                /* tokens of the longest document, an adapter's virtual ones included */
	int virtual_tokens;             /* which stand before every document */
	bool f32;                       /* in float32, because of the method alone: this machine is faster in int8 */
	int past_tokens;                /* that every document begins with, and that are computed once for the run */
	size_t products;                /* of the adapter beside the model, for each token (adapter_products) */
	double product_flops;
	uint32_t recomputed_nodes;
	int gradient_buffers;
	size_t trainable, parameters;
	size_t least_bytes;             /* planned_bytes if all that can be is recomputed */
};

struct step_metrics {
	long step;                      /* steps done, from 1 */
	double loss, grad_norm, learning_rate, epoch;
	bool vanishing;                 /* the gradient, after clipping, is too short for the optimizer to follow */
	double seconds;                 /* of this step */
	int64_t tokens, computed_tokens, supervised_tokens;
	double flops, int_ops;        /* all operations, of all ranks; of these, those in int8 */
	double sent, received, waited;  /* bytes of messages of this rank, seconds for which it waited for them */
	struct objective_metrics metrics; /* what the objective tells of it beside the loss */
	/* Where the recipe wants it of this step: by how much of itself each layer moved, then what is in no layer;
	 * the trainer's, until the next step. */
	const double *update_ratio;
	int n_update_ratios;
};

/* Reads model and data, records and plans; takes no training memory yet. The steps run on `d`. All arguments are
 * borrowed until trainer_close. */
int trainer_open(struct trainer **t, const struct recipe *r, struct device *d, struct err *e);
/* The same of a run that has a checkpoint of step `first`: its plan is of the steps that remain. trainer_load takes it
 * there. */
int trainer_open_at(struct trainer **t, const struct recipe *r, long first, struct device *d, struct err *e);
/* As trainer_open, on the model that another has opened (NULL: its own); both recipes can share one (recipe_apart). */
int trainer_open_beside(struct trainer **t, const struct recipe *r, struct trainer *beside, struct device *d,
                        struct err *e);
/* The same with an objective that is in no table, whatever the recipe's; options: its own, or NULL. */
int trainer_open_objective(struct trainer **t, const struct recipe *r, const struct objective *o, const void *options,
                           long first, struct device *d, struct err *e);
/* Looked at while the start makes what takes long (a reference); NULL: never. */
void trainer_watch(struct trainer *t, bool (*interrupted)(void));
/* Before trainer_start: its nodes and what is around them are timed there. */
void trainer_trace(struct trainer *t, struct trace *trace);
const struct trainer_plan *trainer_plan(const struct trainer *t);
/* Dry: planned_bytes if a step were one micro-batch of up to max_tokens tokens and all that can be were recomputed; 0
 * when that cannot be. */
size_t trainer_least_bytes(struct trainer *t, int32_t max_tokens);
/* Takes and touches all memory, after a look at whether the machine has it; step 0. */
int trainer_start(struct trainer *t, struct err *e);
/* Continues from a checkpoint; *caller: what was given to trainer_save (new reference). On an error nothing has
 * changed. */
int trainer_load(struct trainer *t, const char *dir, json_t **caller, struct err *e);
/* -1 with a sentence when the loss is not finite, or when a stop is asked for (base/stop.h); nothing is updated then,
 * and the step may be done again. */
int trainer_step(struct trainer *t, struct step_metrics *m, struct err *e);
bool trainer_done(const struct trainer *t);
long trainer_steps_done(const struct trainer *t);
/* On --eval-data. interrupted may be NULL; when it says true, -1 and *stopped. */
int trainer_eval(struct trainer *t, struct eval_metrics *m, bool (*interrupted)(void), bool *stopped, struct err *e);
bool trainer_has_eval(const struct trainer *t);
/* What the model writes now, by the recipe's sample_prompt and sample_tokens. Takes memory of its own and gives it
 * back. */
int trainer_sample(struct trainer *t, struct buf *text, struct err *e);
/* How many evaluations the recipe has after this step, the one at the start and the one at the end included. */
double trainer_evaluations_after(const struct trainer *t, long step);
/* All operations beside the steps so far: the reference's, the evaluations' and those of measuring what was forgotten,
 * also of one that was interrupted. */
struct work trainer_scored(const struct trainer *t);
/* What the model has forgotten: KL(before ‖ after) a token of texts of its own, in nats; the interval is of 95 %. */
struct forgetting_metrics {
	double kl, kl_stderr, low, high;
	int64_t tokens;
	/* On --retain, paired. choices: accuracy and its difference; else perplexity, and after over before. n 0: there
	 * were no such rows. */
	struct retain_metrics {
		size_t n;                  /* rows with choices, documents */
		bool choices;
		double before, after, change, change_stderr, low, high;
	} retained;
	/* What is refused of pairs of prompts, as rules see it (trainer_safety.c); n 0: it was not measured. */
	struct safety_metrics {
		size_t n;                  /* pairs */
		struct safety_change { double before, after, change, low, high; } refusal, over_refusal;
	} safety;
};
/* After trainer_result; the gradients' memory is given back too. interrupted and *stopped as trainer_eval's. */
int trainer_forgetting(struct trainer *t, struct forgetting_metrics *m, bool (*interrupted)(void), bool *stopped,
                       struct err *e);
bool trainer_has_forgetting(const struct trainer *t);  /* it was asked for, and can be */
/* From the next step on: the rows of so many steps are left out. Kept in checkpoints. At most trainer_spare of them
 * are planned for. */
void trainer_skip(struct trainer *t, long steps);
long trainer_spare(const struct trainer *t);
/* The weights are the average that is the result, not those that steps change: no step or checkpoint may follow. */
double trainer_epochs(const struct trainer *t);          /* that the steps done are */
bool trainer_shown(const struct trainer *t);
/* a checkpoint folder, atomically */
int trainer_save(struct trainer *t, const char *dir, const json_t *caller, struct err *e);
/* of a checkpoint of this run; the best one, at the end */
int trainer_load_weights(struct trainer *t, const char *dir, struct err *e);
/* The adapter or the model, into the run directory. The activations' memory is given back first: no step may follow. */
int trainer_result(struct trainer *t, const char *dir, struct err *e);

/* On a rank that follows (train/ranks.h), in place of steps, evaluations and savings of its own: does what rank 0 says
 * until it ends the run. -1: messages have failed. */
int trainer_follow(struct trainer *t, struct err *e);

/* For callers with a loop of their own (trainer_steer.c). */
/* of the next step alone; NAN: as scheduled */
void trainer_set_learning_rate(struct trainer *t, double rate);
/* to learn from, in the order of their rows */
size_t trainer_documents(const struct trainer *t);
const struct document *trainer_document(const struct trainer *t, size_t i);
/* How much the tokens of a document count in the loss, from now on; 1 at first. Finite, not negative. */
void trainer_set_weight(struct trainer *t, size_t document, float weight);
size_t trainer_global_batch(const struct trainer *t);                         /* documents of a step at most */
size_t trainer_next(const struct trainer *t, const struct document **out);    /* those of the next step; their number */

struct model *trainer_model(struct trainer *t);
/* What is trained, as it is at the moment: for a session or a scorer beside it, without a copy. */
const struct overlay *trainer_overlay(const struct trainer *t);
const struct params *trainer_params(const struct trainer *t);
/* of products with frozen matrices: int8 only where it is used */
enum compute trainer_compute(const struct trainer *t);
const char *trainer_model_hash(const struct trainer *t);
const char *trainer_data_hash(const struct trainer *t, bool eval);            /* "" when there is none */
void trainer_close(struct trainer *t);

#endif
