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

/* --set of a recipe.yaml: the command line stands over it, it over the file. */
int tune_sets(const struct opt_list *set, struct opt_parse *p, struct err *e);
/* A whole path, so that resume works from any folder; one that is not there is left for whoever opens it to complain
 * of. */
void tune_whole_path(struct arena *mem, const char **path);

/* A run in the recipe's folder, with all that tune, pretrain and resume say of it. command: whose it is, NULL: tune, or
 * resume's. The exit status, or −1 and a sentence.
 * profiling may be NULL. */
int tune_run(struct app *app, const struct recipe *r, enum trial_folder folder, const char *command,
             double began,
             struct profiling *profiling, struct err *e);

#endif
