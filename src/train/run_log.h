/* run_log: the folder of a run as somebody else reads it, while it runs too: nothing is written, swept or waited
 * for. */
#ifndef TRAIN_RUN_LOG_H
#define TRAIN_RUN_LOG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* One number of metrics.jsonl over the run. step, epoch and tokens: where in the run each value belongs (NAN where it
 * was not said). */
struct run_metric {
	char *name;                      /* "loss", "eval_acc" */
	double *value, *step, *epoch, *tokens; /* [n]; a value that was null is NAN */
	size_t n;
};

struct run_log {
	char *path;
	json_t *recipe, *facts;          /* facts: run.json, an empty object when there is none yet */
	const char *state;               /* "running", "stopped", "finished", "failed" */
	long steps, planned_steps;       /* done, and in all; planned −1: unknown */
	struct run_metric *metrics;      /* in the order in which they first appear */
	size_t n_metrics, damaged;       /* damaged: lines that could not be read */
};

bool run_log_is(const char *path);   /* a folder with a recipe.json and run.json or metrics.jsonl */
/* A run whose run.json says "running" but whose process, on this machine, is gone counts as stopped. */
int run_log_open(struct run_log *l, const char *path, struct err *e);
void run_log_release(struct run_log *l);
const struct run_metric *run_log_metric(const struct run_log *l, const char *name); /* NULL: the run has none */
/* of the results in run.json, borrowed; NULL: none */
json_t *run_log_result(const struct run_log *l, const char *name);
/* What a process adds of itself to run.json, so that another can see whether it lives. */
void run_log_sign(json_t *process);

#endif
