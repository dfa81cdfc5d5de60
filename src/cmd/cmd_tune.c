/* tune: a model learns from rows. The run directory with its recipe is made before the model is read, so that a run can
 * be resumed from any moment on; where an earlier run is to be overwritten, that waits until model and data have proved
 * good. */
#include "cmd/tune_common.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/metering.h"
#include "cmd/output_check.h"
#include "cmd/machine_profile.h"

extern const struct command cmd_tune;

/* A run that cannot begin leaves no folder that stands in the way of the next try. */
static int fail_early(struct run_dir *dir)
{
	run_dir_discard(dir);
	return -1;
}

static int begin(struct app *app, struct tune *tune, bool old, const json_t *record, struct err *e)
{
	struct recipe *r = &tune->recipe;
	struct speeds speeds;
	struct run_dir dir = { 0 };
	struct trainer *t = NULL;
	json_t *plan = NULL;
	int status;

	if (!app->plans && !old && run_dir_create(&dir, r->out, r->overwrite, record, e) < 0)
		return -1;
	metering_phase("open");
	if (profiling_begin(&tune->profiling, app, e) < 0) /* first: the plan counts what it takes */
		return fail_early(&dir);
	speeds = machine_speeds(app);
	r->speeds = &speeds;
	if (trainer_open(&t, r, app->device, e) == 0 && tune_planned(app, t, r, &plan, e) == 0)
		trainer_trace(t, profiling_trace(&tune->profiling));
	if (t)
		trainer_watch(t, app_interrupted);
	if (!plan || trainer_start(t, e) < 0)
		status = fail_early(&dir);
	else if (old && run_dir_create(&dir, r->out, r->overwrite, record, e) < 0)
		status = -1;
	else
		status = tune_run(app, t, r, &dir, json_incref(plan), tune->began, false, &tune->profiling);
	json_decref(plan);
	trainer_close(t);
	profiling_release(&tune->profiling);
	run_dir_release(&dir);
	return status;
}

/* recipe.json holds the names that resume opens again, and JSON cannot hold bytes that are no UTF-8. */
static int check_names(const struct recipe *r, struct err *e)
{
	const char *const names[] = { r->model, r->data, r->eval_data, r->retain, r->replay, r->out };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i] && !utf8_valid(names[i], strlen(names[i]), NULL))
			return err_set(e, "%s: the name is no UTF-8, so recipe.json could not hold it; give it another",
			               names[i]);
	return 0;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct tune *tune = options;
	bool old = false;

	app_catch_signals();
	if (tune_resolve(app, tune, p, e) < 0 || check_names(&tune->recipe, e) < 0) {
		arena_release(&tune->paths);
		return app_usage(&cmd_tune, "%s", e->msg);
	}
	int status = app->plans ? 0 : output_place("out", tune->recipe.out, OUTPUT_FOLDER, true, e);
	if (!status && !app->plans)
		status = run_dir_check(tune->recipe.out, tune->recipe.overwrite, &old, e);
	if (status == 0) {
		json_t *record = recipe_record(&tune->recipe);
		status = begin(app, tune, old, record, e);
		json_decref(record);
	}
	arena_release(&tune->paths);
	return status;
}

const struct command cmd_tune = {
	.name = "tune",
	.summary = "train an adapter, or all weights, on your rows",
	.usage = "MODEL --data FILE --out DIR [options], or recipe.yaml [--set NAME=VALUE]",
	.example = "kungfu tune model.gguf --data train.jsonl --out run",
	.brief = "train on your rows",
	.plans = true,
	.order = 50,
	.opts = tune_opts,
	.options_size = sizeof(struct tune),
	.most = 1, .wanted = "one model or recipe.yaml was wanted (rows are given by --data FILE)",
	.run = run,
};
