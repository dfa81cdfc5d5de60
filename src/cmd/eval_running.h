/* eval_running: tasks that are opened and asked of one model, for eval_tasks.c, which runs them all, and eval_live.c,
 * where two models answer until it is decided. */
#ifndef CMD_EVAL_RUNNING_H
#define CMD_EVAL_RUNNING_H

#include "cmd/eval_tasks.h"

struct eval_running {
	struct app *app;
	const struct eval_tasks *t;
	struct loaded *l;
	struct exams *tasks, named;    /* the suite's, or those that are named */
	struct eval_suite suite;       /* o NULL: there is none */
	struct exam_asked *asked;      /* [tasks->n] */
	struct exam_scores *scores;    /* [tasks->n] */
	size_t n_asked, n_scored;
	struct exam_run_options run;
	json_t *kwargs;
	double began;
};

/* app, t and l are there, the rest 0. */
int eval_running_ask(struct eval_running *r, struct err *e);
void eval_running_release(struct eval_running *r);

#endif
