/* eval_live: `kungfu eval --compare A B --tasks …`: two models answer the same rows of tasks, some at a time, and
 * stop at a task when it is decided. */
#ifndef CMD_EVAL_LIVE_H
#define CMD_EVAL_LIVE_H

#include "cmd/eval_tasks.h"
#include "eval/evaluate.h"

/* a, b: what each side answers by; t is both's, but its model and adapter. cluster_by: a column, or NULL. */
struct eval_live_side { const char *name, *adapter; struct loaded *l; };
int eval_live(struct app *app, const struct eval_tasks *t, const struct eval_live_side side[2], const char *cluster_by,
              struct err *e);

/* What both did. */
struct eval_live_work { int64_t tokens, new_tokens, scored_tokens; double flops, int_ops, began; };
/* The end of either: counted, and facts (taken) in the summary beside the models' names. */
void eval_live_end(struct app *app, const struct eval_live_side side[2], const struct eval_live_work *w, json_t *facts);

/* The same of rows (eval_live_rows.c). */
struct eval_live_rows {
	const char *data;              /* the file's name */
	const struct rows *rows;       /* one at least */
	struct eval_live_side side[2];
	struct evaluate_options how[2]; /* each model's own lengths; detail, progress and ctx are not its */
	const char *cluster_by;
};
int eval_live_rows(struct app *app, const struct eval_live_rows *o, struct err *e);

#endif
