/* tune: a model learns from rows. The run itself is a trial (cmd/trial.h); of several recipes each is one, and they are
 * trained beside each other (cmd/trials.h). */
#include "cmd/tune_common.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/output_check.h"
#include "cmd/trials.h"
#include "train/ranks.h"

extern const struct command cmd_tune;

/* recipe.json holds the names that resume opens again, and JSON cannot hold bytes that are no UTF-8. */
static int check_names(const struct recipe *r, struct err *e)
{
	const char *const names[] = { r->model, r->data, r->eval_data, r->retain, r->replay, r->instruction_data,
	                              r->out };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i] && !utf8_valid(names[i], strlen(names[i]), NULL))
			return err_set(e, "%s: the name is no UTF-8, so recipe.json could not hold it; give it another",
			               names[i]);
	return 0;
}

/* --- several --- */

/* A recipe beside others, with what the command line says over it. */
struct beside { struct tune tune; struct opt_parse parse; };

/* --out of the command line is the folder of all of them: DIR/NAME of NAME.yaml. */
static int own_folder(struct beside *b, const char *word, struct err *e)
{
	const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;
	char *stem = mem_strndup(name, (size_t)(strrchr(name, '.') - name)), *path = io_join(b->tune.recipe.out, stem);
	int status = opt_assign(&b->parse, "out", path, e);

	mem_free(stem);
	mem_free(path);
	return status;
}

static int read_beside(struct app *app, struct beside *b, const char *word, struct err *e)
{
	if (!tune_is_recipe(word))
		return err_set(e, "%s is no recipe (.yaml): several words are several recipes, which are trained "
		                  "beside each other", word);
	if (opt_begin(&b->parse, tune_opts, &b->tune, e) < 0 || opt_args(&b->parse, app->argc, app->argv, e) < 0)
		return -1;
	b->parse.positional[0] = word;
	b->parse.n_positional = 1;
	if (b->tune.profiling.on)
		return err_set(e, "--profile is of one run, not of several beside each other");
	if (opt_given(&b->parse, "out") && own_folder(b, word, e) < 0)
		return -1;
	if (tune_resolve(app, &b->tune, &b->parse, e) < 0 || check_names(&b->tune.recipe, e) < 0)
		return strstr(e->msg, word) ? -1 : err_prefix(e, "%s", word);
	return 0;
}

static int run_several(struct app *app, const struct opt_parse *p, struct err *e)
{
	size_t n = p->n_positional;
	struct beside *all = mem_array(n, sizeof(*all));
	struct recipe *recipes = mem_array(n, sizeof(*recipes));
	int status = 0;

	for (size_t i = 0; i < n && !status; i++) {
		status = read_beside(app, &all[i], p->positional[i], e);
		recipes[i] = all[i].tune.recipe;
	}
	status = status ? app_usage(&cmd_tune, "%s", e->msg) : trials_run(app, recipes, n, TRIAL_NEW, e);
	for (size_t i = 0; i < n; i++) {
		opt_release(&all[i].parse);
		arena_release(&all[i].tune.paths);
	}
	mem_free(all);
	mem_free(recipes);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct tune *tune = options;

	app_catch_signals();
	if (p->n_positional > 1 && app->ranks)
		return err_set(e, "several recipes are for one process, and mpirun has started %d", app->ranks->size);
	if (p->n_positional > 1)
		return run_several(app, p, e);
	if (tune_resolve(app, tune, p, e) < 0 || check_names(&tune->recipe, e) < 0) {
		arena_release(&tune->paths);
		return app_usage(&cmd_tune, "%s", e->msg);
	}
	int status = app->plans ? 0 : output_place("out", tune->recipe.out, OUTPUT_FOLDER, true, e);
	if (status == 0)
		status = tune_run(app, &tune->recipe, TRIAL_NEW, NULL, tune->began, &tune->profiling, e);
	profiling_release(&tune->profiling);
	arena_release(&tune->paths);
	return status;
}

const struct command cmd_tune = {
	.name = "tune",
	.summary = "train an adapter, or all weights, on your rows",
	.usage = "MODEL --data FILE --out DIR [options], or recipe.yaml … [--set NAME=VALUE]",
	.example = "kungfu tune model.gguf --data train.jsonl --out run",
	.brief = "train on your rows",
	.plans = true,
	.ranks = true,
	.order = 50,
	.opts = tune_opts,
	.options_size = sizeof(struct tune),
	.most = 256, .wanted = "one model, or recipes, was wanted (rows are given by --data FILE)",
	.run = run,
};
