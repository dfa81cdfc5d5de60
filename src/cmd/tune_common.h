/* tune_common: what tune and resume share: the options, the plan, and the run itself. */
#ifndef CMD_TUNE_COMMON_H
#define CMD_TUNE_COMMON_H

#include "base/arena.h"
#include "cmd/command.h"
#include "cmd/profiling.h"
#include "train/run_dir.h"
#include "train/trainer.h"

struct tune {
	struct common common;
	struct recipe recipe;
	struct opt_list set;
	struct profiling profiling;      /* of tune alone */
	struct arena paths;
	double began;                    /* clock_seconds() */
};
extern const struct opt tune_opts[];

/* After the options: reads a recipe.yaml, resolves. A plan needs no --out. The caller releases paths. */
int tune_resolve(struct app *app, struct tune *t, struct opt_parse *p, struct err *e);

/* The moment before the work (cmd/estimate.h); *plan: what run.json keeps of it, a new reference. */
int tune_planned(struct app *app, const struct trainer *t, const struct recipe *r, json_t **plan, struct err *e);

/* A run whose folder exists: from step 0, or from its newest checkpoint. Prints, writes run.json, returns the exit
 * status. plan: of tune_planned; its reference is taken. began: when the command did (clock_seconds). profiling may be
 * NULL. */
int tune_run(struct app *app, struct trainer *t, const struct recipe *r, struct run_dir *dir, json_t *plan,
             double began, bool resume, struct profiling *profiling);

#endif
