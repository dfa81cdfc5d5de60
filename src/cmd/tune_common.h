/* tune_common: what tune, plan and resume share: the options, the plan's two forms, and the run itself. */
#ifndef CMD_TUNE_COMMON_H
#define CMD_TUNE_COMMON_H

#include "base/arena.h"
#include "cmd/command.h"
#include "cmd/profiling.h"
#include "learn/run_dir.h"
#include "learn/trainer.h"

struct tune {
	struct common common;
	struct recipe recipe;
	struct opt_list set;
	struct profiling profiling;      /* of tune alone */
	struct arena paths;
	double began;                    /* clock_seconds() */
};
extern const struct opt tune_opts[];

/* Parses, reads a recipe.yaml, resolves; skip: leading words that are no MODEL ("plan tune"). Returns 0 to go on, else the exit status + 1. */
int tune_parse(struct app *app, const struct command *c, struct tune *t, struct opt_parse *p, const char *skip);
void tune_release(struct tune *t, struct opt_parse *p);

json_t *plan_json(const struct trainer_plan *p);
/* Tells the ledger of it; -1 with a sentence when --max-gas has no room for it. */
int plan_books(const struct trainer *t, const struct recipe *r, struct err *e);
void plan_show(const struct trainer_plan *p, void (*say)(const char *fmt, ...)); /* a few lines for eyes */

/* A run whose folder exists: from step 0, or from its newest checkpoint. Prints, writes run.json, returns the exit status.
 * began: when the command did (clock_seconds). profiling may be NULL. */
int tune_run(struct app *app, struct trainer *t, const struct recipe *r, struct run_dir *dir, double began, bool resume, struct profiling *profiling);

#endif
