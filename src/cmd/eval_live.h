/* eval_live: `kungfu eval --compare A B --tasks …`: two models answer the same rows of tasks, some at a time, and
 * stop at a task when it is decided. */
#ifndef CMD_EVAL_LIVE_H
#define CMD_EVAL_LIVE_H

#include "cmd/eval_tasks.h"

/* a, b: what each side answers by; t is both's, but its model and adapter. cluster_by: a column, or NULL. */
struct eval_live_side { const char *name, *adapter; struct loaded *l; };
int eval_live(struct app *app, const struct eval_tasks *t, const struct eval_live_side side[2], const char *cluster_by,
              struct err *e);

#endif
