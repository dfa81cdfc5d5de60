/* train_loop: a whole run around the trainer's steps: logging, evaluating, stopping early, keeping the best,
 * checkpoints, the result.
 *
 * What happens is a function of the recipe and the number of steps done, so a run that was stopped at any moment and
 * continued from a checkpoint ends with the same files as one in one piece, but for times. Only when to save, if
 * --save-steps is not given, looks at the clock: as often as costs 2 % of the time, and that shows in no result. */
#ifndef TRAIN_FIT_H
#define TRAIN_FIT_H

#include "train/run_dir.h"
#include "train/spike.h"
#include "train/tensorboard.h"
#include "train/trainer.h"

enum train_loop_end { FIT_DONE, FIT_STOPPED };  /* stopped: on request; a checkpoint of the last step is there */

struct train_loop_progress {
	long step, steps;
	double loss, learning_rate, tokens_per_second;
	double seconds_left;               /* of steps, evaluations and savings */
};

struct train_loop {
	struct trainer *trainer;
	const struct recipe *recipe;
	struct run_dir *dir;
	bool (*interrupted)(void);                                        /* looked at between steps */
	void (*line)(void *ctx, const json_t *metrics);                   /* every line of metrics.jsonl */
	void (*progress)(void *ctx, const struct train_loop_progress *p);        /* after every step */
	/* "steps", "evaluation", "saving", "forgetting" begin; may be NULL */
	void (*phase)(void *ctx, const char *name);
	/* After every evaluation, with its line; true: the run pauses there, as after a stop, with a checkpoint, unless
	 * it is over. May be NULL. */
	bool (*judge)(void *ctx, const struct eval_metrics *m, const json_t *line);
	void *ctx;
	const long *evaluate_at;           /* steps after which there is an evaluation beside the recipe's */
	size_t n_evaluate_at;
	bool save_last;                    /* a checkpoint of the last step too */
	long last_step;                    /* the run is done there, as it stands; 0: at the recipe's end */

	/* Of the whole run, continued pieces included: what a checkpoint keeps. */
	double loss, loss_sum;             /* of the last step; over all steps */
	struct spike spike;                /* of --spike-threshold; window 0: it is not asked for */
	double window_loss;                /* since the last line, as the next */
	double window_metric[OBJECTIVE_METRICS];
	long window_steps;
	int64_t tokens, computed_tokens, supervised_tokens;
	/* all operations, those of evaluations, the reference and forgetting too; of them, those in int8 */
	double flops, int_ops;
	long evaluated, best_step, bad_evals; /* step of the last evaluation and of the best one, −1: none */
	double best_loss;
	json_t *last_eval, *best_eval;     /* their lines, or NULL */
	json_t *forgetting;                /* at the end: forgetting_kl, …, for the summary, or NULL */

	/* Of this process. */
	struct tensorboard events;         /* with --tensorboard; else its path is NULL */
	double eval_seconds;               /* of the last evaluation, NAN before */
	double timed_seconds, first_seconds, last_save, save_seconds;
	int64_t timed_tokens, timed_computed, first_tokens, first_computed;
	struct work scored;                /* of flops and int_ops: evaluations' and the reference's */
	long saved;                        /* step of the checkpoint written last, −1 */
	bool begun;                        /* the first step was looked at */
	long seen, moved;                  /* steps; those with a gradient and a rate above 0 */
	long vanished;                     /* those whose gradient was too short to follow */
	double rates;                      /* the sum of their learning rates */
	bool loaded_best;                  /* the weights are those of best_step, not of the last */
	int64_t restored_tokens;           /* of `tokens`, those of the pieces before */
};

void train_loop_init(struct train_loop *f, struct trainer *t, const struct recipe *r, struct run_dir *dir);
/* Before train_loop_run, of every run. Continues from the newest checkpoint that is whole; *step: its step, 0 when
 * there is none. Damaged ones are named in a warning. */
int train_loop_restore(struct train_loop *f, long *step, struct err *e);
/* Where train_loop_restore will most likely go on: the newest checkpoint whose facts are whole, its numbers are not
 * looked at; 0: there is none. */
int fit_restores_at(const char *run_dir, long *step, struct err *e);
int train_loop_run(struct train_loop *f, enum train_loop_end *end, struct err *e);
/* The parts of train_loop_run, for who does the steps itself (train/trainers.h): what is due before a step (stop: it
 * was asked for while the last was computed) and what follows; a step that was made; the result; and what it has made
 * the model forget, *end: FIT_STOPPED where nobody wanted to wait for that. */
enum train_loop_next { LOOP_STEP, LOOP_OVER, LOOP_STOPPED };
int train_loop_next(struct train_loop *f, bool stop, enum train_loop_next *next, struct err *e);
int train_loop_stepped(struct train_loop *f, const struct step_metrics *m, struct err *e);
int train_loop_result(struct train_loop *f, struct err *e);
int train_loop_forget(struct train_loop *f, enum train_loop_end *end, struct err *e);
double fit_tokens_per_second(const struct train_loop *f, bool computed);       /* in steps after this process's first */
void train_loop_release(struct train_loop *f);

#endif
