/* trial: a tuning run as one step of something larger: a search over options, a ladder of ways. `kungfu tune` and
 * `kungfu resume` are trials themselves, with more to say.
 *
 *     struct trial_options o = { .recipe = &recipe, .folder = TRIAL_EITHER, .part = "search", .evaluated = look };
 *     struct trial_result r;
 *     if (trial_run(app, &o, &r, e) < 0)
 *             return -1;                  // a sentence; the folder is as `tune` leaves it then
 *     if (r.end == TRIAL_STOPPED)
 *             …                           // Ctrl-C or --max-gas: leave too; the same call goes on another time
 *     … r.eval_loss, r.gas.seconds …
 *     trial_result_release(&r);
 *
 * The recipe is resolved and settled (recipe_resolve, recipe_settle), its paths whole, its `out` the folder. A trial
 * opens, plans, starts, steps, evaluates and saves in the folder what `kungfu tune` would, bit for bit, and hears a
 * stop within a second. One that is half done goes on from its newest checkpoint; one that is finished is read and not
 * run again.
 *
 * As a part it has an entry of its own in the ledger, of the command "tune" (or "resume"), whose parent is the command
 * that runs it; --max-gas refuses a part that has no room beside what was used until then, before it begins.
 *
 * It prints nothing at its end. What it says meanwhile goes to `log`; callbacks may print: the sink is not lent while
 * they run. Trials run one after another, in the thread that calls. */
#ifndef CMD_TRIAL_H
#define CMD_TRIAL_H

#include "base/log.h"
#include "cmd/command.h"
#include "cmd/profiling.h"
#include "gas/meter.h"
#include "gas/predict.h"
#include "train/train_loop.h"

enum trial_folder {
	TRIAL_NEW,                     /* refused where a run is, unless the recipe's overwrite */
	TRIAL_RESUME,                  /* there is a run, of this recipe */
	TRIAL_EITHER                   /* goes on with the run that is there, else begins it */
};

enum trial_end {
	TRIAL_DONE,
	TRIAL_PAUSED,                  /* a callback wanted it; a checkpoint is there, another call goes on */
	TRIAL_STOPPED                  /* by a signal, or --max-gas is used up; likewise */
};

/* An evaluation, as it is made. All borrowed. */
struct trial_evaluation {
	long step, steps;
	const json_t *line;            /* of metrics.jsonl: eval_loss, eval_acc, … */
	const struct eval_row *rows;   /* [n_rows] for comparisons on the same rows */
	size_t n_rows;
};

struct trial_options {
	const struct recipe *recipe;
	enum trial_folder folder;
	/* The command of which the trial is a part, for run.json; NULL: it is the command, whose entry is the run's. */
	const char *part;
	const char *command;           /* whose it is, for run.json; NULL: tune, or resume */
	/* As a part: it may be begun although --max-gas has no room for its whole plan, since it will not run to its
	 * end. */
	bool beyond_gas;
	bool keep_last;                /* a checkpoint of the last step stays, for trial_score */
	const struct log_sink *log;    /* or NULL: stderr. log_nothing swallows all but warnings */
	struct profiling *profiling;   /* or NULL */
	double began;                  /* clock_seconds(); 0: now */
	/* Once the plan is known, before anything is run; plan: as --json of `kungfu plan` has it. May set the three
	 * below. −1 with a sentence: it is not to be run. May be NULL. */
	int (*planned)(void *ctx, const struct trainer_plan *p, const json_t *plan, struct err *e);
	/* After each evaluation, the one at the start too; true: pause there. May be NULL. */
	bool (*evaluated)(void *ctx, const struct trial_evaluation *v);
	/* Looked at between steps and within evaluations; true: pause there. May be NULL. */
	bool (*pause)(void *ctx);
	void (*line)(void *ctx, const json_t *metrics);                         /* each of metrics.jsonl; or NULL */
	void (*progress)(void *ctx, const struct train_loop_progress *p);       /* after each step; or NULL */
	/* When the steps go on from a checkpoint, and at the end of what was run, while the trainer is still there; the
	 * processes' gas in facts (run.json). May be NULL. */
	void (*resumed)(void *ctx, long step, const struct train_loop *f);
	void (*ended)(void *ctx, const struct train_loop *f, const json_t *facts, bool done);
	void *ctx;
	/* Evaluations beside those of the recipe; and where the run is done, as it stands (0: at the recipe's end). */
	const long *evaluate_at;
	size_t n_evaluate_at;
	long last_step;
};

struct trial_result {
	enum trial_end end;
	long step, steps;              /* done; of the recipe */
	double loss;                   /* of the last step; NAN: none, as below */
	double eval_loss, acc;         /* of the last evaluation (the best one's, with --load-best-model-at-end) */
	size_t trainable;
	double planned_seconds, planned_bytes, planned_operations;
	/* What this call took; and of all processes and calls that worked in the folder, as far as is known. */
	struct gas gas, whole;
	json_t *summary;               /* as `kungfu tune --json` ends: every figure by its name; NULL: there is none */
	/* The rows of the last evaluation that this call made, or NULL. */
	struct eval_row *rows;
	size_t n_rows;
	bool no_room;                  /* with −1 too: --max-gas had no room for its plan; nothing was run */
	char *result;                  /* the folder of the adapter or the model; NULL unless done */
};

/* log_texts: nor that rows train without the model's chat template, where answers are not what they are for. */
extern const struct log_sink log_nothing, log_texts;
bool trial_untemplated(const char *text); /* a warning of just that */

int trial_run(struct app *app, struct trial_options *o, struct trial_result *r, struct err *e);
/* What a rank that follows does in place of a command: waits for rank 0's recipe, and has its part in the run. */
int trial_follow(struct app *app, struct err *e);
void trial_result_release(struct trial_result *r);
/* The evaluation that the end of a finished run (with keep_last) would have had on the recipe's eval_data, whichever
 * rows those are: r has eval_loss, acc and rows; end is TRIAL_STOPPED where a stop was asked
 * for. before: the same of the model as the run began, which the caller releases; or NULL. Metered as the command's. */
int trial_score(struct app *app, const struct recipe *recipe, struct trial_result *r, struct trial_result *before,
                struct err *e);

/* The words after "kungfu tune" that repeat a run of this recipe: what differs from the usual. New reference. */
json_t *trial_words(const struct recipe *r);
/* The sum of what the processes of a run took, from its run.json; *unknown: how many of them told nothing. Returns how
 * many there are. */
size_t trial_whole_gas(const json_t *facts, struct gas *g, size_t *unknown);
/* What a plan says of a run (gas/predict.h). */
void trial_predict(struct predicted *out, const struct trainer_plan *p, const struct recipe *r, const char *compute);

#endif
