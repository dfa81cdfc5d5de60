/* tune: a model learns from rows. The run itself is a trial (cmd/trial.h). */
#include "cmd/tune_common.h"

#include <string.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/output_check.h"

extern const struct command cmd_tune;

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

	app_catch_signals();
	if (tune_resolve(app, tune, p, e) < 0 || check_names(&tune->recipe, e) < 0) {
		arena_release(&tune->paths);
		return app_usage(&cmd_tune, "%s", e->msg);
	}
	int status = app->plans ? 0 : output_place("out", tune->recipe.out, OUTPUT_FOLDER, true, e);
	if (status == 0)
		status = tune_run(app, &tune->recipe, TRIAL_NEW, tune->began, &tune->profiling, e);
	profiling_release(&tune->profiling);
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
