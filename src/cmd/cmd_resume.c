/* resume: goes on where a run stopped, from its newest whole checkpoint, or from step 0 when it has none yet. */
#include "cmd/tune_common.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/adapt/adapt.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/search/study.h"
#include "cmd/trials.h"
#include "train/ranks.h"

extern const struct command cmd_resume;

struct resume {
	struct common common;
	size_t memory;
	const char *data;
};

static const struct opt resume_opts[] = {
	OPT_BYTES("memory", struct resume, memory, NULL,
	          "another limit than the recipe's; changes no bit of the result"),
	OPT_STRING("data", struct resume, data, NULL, "FILE",
	           "of adapt: more rows, with which an ended run too goes on from what is known"),
	COMMON_OPTS(struct resume, common),
	OPT_END
};

/* more: something follows it, which is told then. */
static bool is_finished(const struct app *app, const struct run_dir *dir, bool more)
{
	json_t *facts = run_dir_facts(dir), *results = json_object_get(facts, "results");
	const char *status = json_string_value(json_object_get(facts, "status"));
	bool finished = status && !strcmp(status, "finished");

	if (finished && !more)
		log_say("%s: this run is finished; there is nothing to resume", dir->path);
	if (finished && !more && app->json && results)
		app_json(results);
	json_decref(facts);
	return finished;
}

static int resume_dir(struct app *app, const char *path, size_t memory, bool more, struct err *e)
{
	struct recipe recipe;
	struct opt_parse p = { 0 };
	struct arena mem = ARENA_INIT;
	struct run_dir dir;
	json_t *record;
	int status;

	if (run_dir_open(&dir, path, &record, e) < 0)
		return -1;
	if (is_finished(app, &dir, more)) {
		status = EXIT_DONE;
	} else if (recipe_load(&recipe, &p, record, e) < 0 || recipe_resolve(&recipe, e) < 0) {
		status = err_prefix(e, "%s/recipe.json", path);
	} else {
		pretrain_moved(&recipe, path, &mem);
		recipe.out = path;
		recipe.memory = memory ? memory : recipe.memory;
		run_dir_release(&dir); /* the run takes it itself */
		status = tune_run(app, &recipe, TRIAL_RESUME, NULL, clock_seconds(), NULL, e);
	}
	opt_release(&p);
	arena_release(&mem);
	json_decref(record);
	run_dir_release(&dir);
	return status;
}

/* --- several --- */

struct half { struct recipe recipe; struct opt_parse parse; bool finished; };

static int read_half(struct app *app, struct half *h, const char *path, size_t memory, struct err *e)
{
	struct run_dir dir;
	json_t *record;

	if (run_dir_open(&dir, path, &record, e) < 0)
		return -1;
	h->finished = is_finished(app, &dir, false);
	int status = recipe_load(&h->recipe, &h->parse, record, e) < 0 || recipe_resolve(&h->recipe, e) < 0 ?
	                     err_prefix(e, "%s/recipe.json", path) : 0;
	h->recipe.out = path;
	h->recipe.memory = memory ? memory : h->recipe.memory;
	json_decref(record);
	run_dir_release(&dir);
	return status;
}

static int resume_several(struct app *app, const struct opt_parse *p, size_t memory, struct err *e)
{
	size_t n = p->n_positional, left = 0;
	struct half *all = mem_array(n, sizeof(*all));
	struct recipe *recipes = mem_array(n, sizeof(*recipes));
	int status = 0;

	for (size_t i = 0; i < n && !status; i++) {
		status = read_half(app, &all[i], p->positional[i], memory, e);
		if (!status && !all[i].finished)
			recipes[left++] = all[i].recipe;
	}
	if (!status)
		status = left ? trials_run(app, recipes, left, TRIAL_RESUME, e) : EXIT_DONE;
	for (size_t i = 0; i < n; i++)
		opt_release(&all[i].parse);
	mem_free(all);
	mem_free(recipes);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct resume *o = options;

	app_catch_signals();
	if (o->data && (p->n_positional > 1 || !adapt_is(p->positional[0])))
		return err_set(e, "--data is for one run of adapt, in whose folder %s is",
		               ADAPT_FILE);
	if (app->ranks && (p->n_positional > 1 || adapt_is(p->positional[0]) || study_is(p->positional[0])))
		return err_set(e, "of several ranks one run of tune or pretrain goes on, not a search or several runs");
	if (p->n_positional > 1)
		return resume_several(app, p, o->memory, e);
	if (adapt_is(p->positional[0]))
		return adapt_resume(app, &o->common, p->positional[0], o->data, e);
	if (pretrain_is(p->positional[0]))
		return pretrain_resume(app, &o->common, p->positional[0], e);
	if (study_is(p->positional[0]))
		return search_resume(app, p->positional[0], e);
	bool more = !app->plans && pretrain_goes_on(p->positional[0]);
	int status = resume_dir(app, p->positional[0], o->memory, more, e);
	return status == EXIT_DONE && more ? pretrain_rest(app, &o->common, p->positional[0], e) : status;
}

const struct command cmd_resume = {
	.name = "resume",
	.summary = "go on exactly where a stopped run was",
	.usage = "DIR …",
	.example = "kungfu resume run",
	.brief = "go on after a stop",
	.plans = true,
	.ranks = true,
	.order = 55,
	.opts = resume_opts,
	.options_size = sizeof(struct resume),
	.least = 1, .most = 256, .wanted = "a run directory was wanted, or several",
	.run = run,
};
