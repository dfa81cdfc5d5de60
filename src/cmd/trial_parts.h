/* trial_parts: what the files trial*.c share; nobody else includes it. */
#ifndef CMD_TRIAL_PARTS_H
#define CMD_TRIAL_PARTS_H

#include "cmd/trial.h"

/* trial_plan.c: the moment before the work (cmd/estimate.h); *kept: what run.json keeps of it, a new reference. */
int trial_plan(struct app *app, const struct trainer *t, const struct recipe *r, json_t **kept, struct err *e);

json_t *trial_plan_facts(const struct trainer_plan *p);

/* trial_facts.c: run.json and the summary. */
struct trial_run {
	struct app *app;
	const struct trial_options *o;
	struct recipe recipe;
	struct speeds speeds;          /* of this machine, which the recipe points to */
	double began;
	struct run_dir dir;
	struct trainer *trainer;
	json_t *plan;
	bool refused;                  /* by whoever looked at the plan */
	json_t *facts;                 /* run.json */
	struct train_loop loop;
	struct train_loop restored;    /* what earlier processes had done */
	struct trial_result *result;
};
/* What the run is and what it runs on; a resumed one adds itself to what is there. */
json_t *trial_facts(const struct trial_run *t, bool resume);
int trial_set_status(const struct trial_run *t, const char *status, json_t *results, struct err *e);
/* What this process did, not the pieces before it, which have entries of their own; run.json learns what it took. */
void trial_tell_counts(const struct trial_run *t);
void trial_keep_gas(const struct trial_run *t);
/* The summary without what the process took. */
json_t *trial_results(const struct trial_run *t, const char *status);
json_t *trial_summary(const struct trial_run *t, const char *status, enum train_loop_end end);

#endif
