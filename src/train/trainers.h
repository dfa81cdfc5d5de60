/* trainers: several recipes trained on one base, step by step beside each other, each with the bits that it has alone.
 *
 *     trainers_new → trainers_add … → trainers_settle → trainers_start → [trainer_load of each]
 *     → (trainers_step → [trainer_eval, trainer_save, trainer_result of each])… → trainers_rest
 *     → [trainer_forgetting of each] → trainers_free
 *
 * Each is a trainer (train/trainer.h) with parameters, gradients, optimizer, data and order of its own; the model, the
 * memory of activations and what is alike are there once:
 *
 *     blocks that nothing of a recipe has changed are computed once for all micro-batches that are alike (the same rows
 *     in the same forest: the same data, order and --micro-batch-tokens), whatever lies over the blocks above
 *
 *     where micro-batches are small, products with a matrix of the model are one for the rows of all recipes
 *
 * What is computed is cut into a pass below and one above, so no number differs. Recipes that cannot share a model
 * (recipe_apart) cannot be beside each other. */
#ifndef TRAIN_TRAINERS_H
#define TRAIN_TRAINERS_H

#include "train/trainer.h"

enum { TRAINERS_MOST = 256 };

struct trainers;

/* Of all that are together, from trainers_settle on. */
struct trainers_plan {
	size_t planned_bytes;           /* peak resident set of the process */
	/* its parts; they add up */
	size_t weights_bytes, state_bytes, arena_bytes, scratch_bytes, batch_bytes, base_bytes;
	/* sums over the recipes, the blocks that are computed once counted once */
	double planned_flops, planned_int_ops, planned_seconds;
	double open_seconds, start_seconds, step_seconds, eval_seconds, save_seconds, forgetting_seconds;
};

/* What one of them adds. */
struct trainers_share {
	size_t bytes;                   /* of memory: parameters, gradients, optimizer, micro-batch, data */
	double seconds;                 /* of the planned ones, blocks that are computed once shared out */
	int shared_blocks;              /* blocks from the lowest on that are computed with others */
	size_t with;                    /* how many share them, itself included; 1: nobody does */
};

struct trainers *trainers_new(struct device *d);
/* Opens one more; r is borrowed, as trainer_open has it, but its --memory counts for nothing: see trainers_plan.
 * −1: it cannot be opened, the others are as they were. */
int trainers_add(struct trainers *s, const struct recipe *r, long first, struct err *e);
void trainers_drop(struct trainers *s);              /* the last that was added */
size_t trainers_count(const struct trainers *s);
struct trainer *trainers_at(const struct trainers *s, size_t i);
/* What is alike is found and planned. May be called again when others were added or dropped. */
int trainers_settle(struct trainers *s, struct err *e);
const struct trainers_plan *trainers_plan(const struct trainers *s);
const struct trainers_share *trainers_share(const struct trainers *s, size_t i);
int trainers_start(struct trainers *s, struct err *e);
/* A step of each that `which` marks (its steps are not over). failed[i], of those, has a sentence where trainer i's
 * update could not be made (trainer_step); the others have made theirs. m[i].seconds: its share of the time. −1:
 * given up because a stop is asked for, and nothing is updated. */
int trainers_step(struct trainers *s, const bool *which, struct step_metrics *m, struct err *failed, struct err *e);
/* No step and no evaluation will follow: their memory goes. */
void trainers_rest(struct trainers *s);
void trainers_free(struct trainers *s);              /* and closes all trainers */

#endif
