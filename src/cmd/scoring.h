/* scoring: what commands share that have a scorer (infer/scorer.h) go through documents once: the plan of it, and how
 * far it is while it runs. */
#ifndef CMD_SCORING_H
#define CMD_SCORING_H

#include "cmd/model_common.h"
#include "infer/scorer.h"

struct scoring {
	const struct document *const *docs;
	size_t n;
	const char *unit;              /* what a document is: "text" */
	/* while it runs: */
	int64_t tokens, done;
	size_t seen;
	double began;
};

struct scoring_plan {
	const char *command, *phase;   /* "score", "scoring" */
	const char *what;              /* what the memory is for: "activations" */
	size_t bytes;                  /* taken beside the scorer's */
	bool no_head;                  /* the head is not read */
	double writing;                /* seconds, of what comes of it */
	const char *after;             /* their name; NULL: "writing" */
};

/* What planned says of it. */
int scoring_planned(const struct scoring *s, struct app *app, const struct loaded *l, struct scorer *scorer,
                    const struct scoring_plan *plan, struct err *e);
void scoring_begin(struct scoring *s);
/* scorer_run's progress, of a struct scoring: after two seconds a line of it; other than 0 when all is to end. */
int scoring_progress(void *ctx, size_t done, size_t n);

#endif
