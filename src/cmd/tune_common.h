/* tune_common: what tune and resume share: the options, the plan, and the run itself. */
#ifndef CMD_TUNE_COMMON_H
#define CMD_TUNE_COMMON_H

#include "base/arena.h"
#include "cmd/command.h"
#include "cmd/trial.h"

struct tune {
	struct common common;
	struct recipe recipe;
	struct opt_list set;
	struct profiling profiling;      /* of tune alone */
	struct arena paths;
	double began;                    /* clock_seconds() */
};
extern const struct opt tune_opts[];

bool tune_is_recipe(const char *name); /* a YAML file, not a model */
/* After the options: reads a recipe.yaml, resolves. A plan needs no --out. The caller releases paths. */
int tune_resolve(struct app *app, struct tune *t, struct opt_parse *p, struct err *e);

/* A run in the recipe's folder, with all that tune and resume say of it. The exit status, or −1 and a sentence.
 * profiling may be NULL. */
int tune_run(struct app *app, const struct recipe *r, enum trial_folder folder, double began,
             struct profiling *profiling, struct err *e);

#endif
