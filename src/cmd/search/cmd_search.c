/* search: which method, and which of its options, comes to the best score for the gas that there is. What is varied is
 * a space (search/space.h), where the next trial is to be says a sampler (search/propose.h), which ones go on says a
 * pruner (search/rungs.h); a trial is a run of tune (cmd/trial.h). */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cmd/estimate.h"
#include "cmd/machine_profile.h"
#include "cmd/metering.h"
#include "cmd/output_check.h"
#include "cmd/search/study.h"

enum { TRIALS_USUAL = 20, TRIALS_MOST = 10000 };
static const double gas_used = 0.95;   /* of --max-gas: the plan of a search that goes on as long as there is some */

const struct opt search_opts[] = {
	OPT_GROUP("The search"),
	OPT_STRING("space", struct search, space, NULL, "FILE",
	           "space.yaml: what is varied (default: method, r, learning rate, target modules, epochs, as far as "
	           "they are not given)"),
	OPT_INT("trials", struct search, trials, NULL, 1, TRIALS_MOST,
	        "trials at most (default: 20; with --max-gas as many as it has room for)"),
	OPT_CHOICE("sampler", struct search, sampler, "tpe", "random|tpe",
	           "where the next trial is: anywhere, or where earlier ones were good (Bergstra 2011)"),
	OPT_CHOICE("pruner", struct search, pruner, "asha", "none|asha|hyperband",
	           "which trials get more gas: all of it at once, or the best of each rung (Li 2018, Li 2017)"),
	OPT_INT("eta", struct search, eta, "3", 2, 16,
	        "a rung has so many times the gas of the one below; 1 of so many goes on"),
	OPT_INT("rungs", struct search, rungs, "2", 1, 6, "rungs below the end of a run"),
	OPT_CHOICE("metric", struct search, metric, "auto", "auto|eval_loss",
	           "by what is chosen; auto: accuracy where rows have choices or classes, else eval_loss"),
	OPT_STRING("test-data", struct search, test_data, NULL, "FILE",
	           "rows for the winner alone, at the end (default: a third of --eval-data, held back)"),
	RECIPE_OPTS(struct search, recipe),
	COMMON_OPTS(struct search, common),
	OPT_END
};

void study_settle(struct study *s)
{
	const struct search *o = &s->o;
	bool gas = o->common.max_gas;

	s->rungs = (struct rungs){ .rungs = (int)o->rungs, .eta = (int)o->eta,
		                   .trials = o->trials != OPT_UNSET_INT ? (size_t)o->trials :
		                             gas                        ? TRIALS_MOST :
		                                                          TRIALS_USUAL };
	s->rungs.by = !strcmp(o->pruner, "none") ? RUNGS_NONE :
	              !strcmp(o->pruner, "asha") ? RUNGS_ASHA :
	                                           RUNGS_HYPERBAND;
	s->by = !strcmp(o->sampler, "tpe") ? PROPOSE_TPE : PROPOSE_RANDOM;
}

/* --- what was asked for --- */

static int keep_path(struct study *s, const char *name, const char *path, struct err *e)
{
	char whole[PATH_MAX];

	if (!path)
		return 0;
	if (!utf8_valid(path, strlen(path), NULL))
		return err_set(e, "%s: the name is no UTF-8, so study.json could not hold it; give it another", path);
	json_object_set_new(s->paths, name, json_string(realpath(path, whole) ? whole : path));
	return 0;
}

static int keep_words(struct study *s, struct app *app, struct err *e)
{
	const struct recipe *r = &s->o.recipe;

	s->argv = json_array();
	s->paths = json_object();
	for (int i = 0; i < app->argc; i++) {
		if (!utf8_valid(app->argv[i], strlen(app->argv[i]), NULL))
			return err_set(e, "%s: the word is no UTF-8, so study.json could not hold it", app->argv[i]);
		json_array_append_new(s->argv, json_string(app->argv[i]));
	}
	const struct { const char *name, *path; } all[] = {
		{ "model", r->model }, { "data", r->data }, { "eval-data", r->eval_data }, { "retain", r->retain },
		{ "replay", r->replay }, { "test-data", s->o.test_data },
	};
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (keep_path(s, all[i].name, all[i].path, e) < 0)
			return -1;
	return 0;
}

static int read_space(struct study *s, struct err *e)
{
	struct buf text = { .max = 1 << 20 };

	if (!s->o.space) {
		s->space_text = study_usual_space(&s->parse);
		if (!*s->space_text)
			return err_set(e, "every option that is varied by itself is given; --space FILE names others");
		return study_space(s, s->space_text, "the usual space", e);
	}
	int status = io_read(&text, s->o.space, e);
	if (!status && strlen(buf_str(&text)) != text.len)
		status = err_set(e, "%s: it holds a zero byte", s->o.space);
	s->space_text = mem_strdup(buf_str(&text));
	buf_release(&text);
	return status ? -1 : study_space(s, s->space_text, s->o.space, e);
}

static int check_asked(struct study *s, struct opt_parse *p, struct err *e)
{
	struct recipe *r = &s->o.recipe;
	const char *word = p->n_positional ? p->positional[0] : NULL;

	if (word && r->model && strcmp(word, r->model) != 0)
		return err_set(e, "the model is given twice: %s and --model %s", word, r->model);
	r->model = word ? word : r->model;
	if (!r->model)
		return err_set(e, "no model was given: a GGUF file or a Hugging Face folder is wanted");
	if (!r->data)
		return err_set(e, "no training rows were given: --data FILE is wanted");
	if (!r->eval_data)
		return err_set(e, "no evaluation rows were given: --eval-data FILE is wanted, by which trials are "
		                  "chosen");
	if (!r->out && !s->app->plans)
		return err_set(e, "no folder was given: --out DIR is wanted");
	if (opt_given(p, "compute") && !strcmp(r->compute, "int8") && !s->o.space && !opt_given(p, "method"))
		return err_set(e, "--compute int8 is not of --method full, which the usual space tries; --method or "
		                  "--space names what is tried");
	return 0;
}

/* --- the plan --- */

/* Mean of a parameter over the space, where it is a number. */
static double mean_of(const struct space_param *p)
{
	double sum = 0;
	enum { PLACES = 64 };

	for (size_t i = 0; i < p->n; i++)
		sum += strtod(p->values[i], NULL) / (double)p->n;
	for (int i = 0; i < PLACES && p->range; i++)
		sum += space_number(p, (i + 0.5) / PLACES, 1) / PLACES;
	return sum;
}

/* How much longer trials are than the recipe with nothing varied, as far as epochs and steps tell. */
static double length_of(const struct study *s, const struct recipe *r)
{
	const struct space_param *steps = space_find(&s->space, "max-steps"),
	                         *epochs = space_find(&s->space, "num-train-epochs");

	if (steps && r->max_steps > 0)
		return mean_of(steps) / (double)r->max_steps;
	return epochs && !(r->max_steps > 0) ? mean_of(epochs) / r->num_train_epochs : 1;
}

/* What a run takes that is the usual one of each method of the space: in the mean; the memory of the largest. */
struct survey {
	double open, start, step, eval, save, flops, int_ops, bytes, n;
};

static void survey_add(struct survey *v, const struct trainer_plan *t)
{
	v->open += t->open_seconds;
	v->start += t->start_seconds;
	v->step += t->step_seconds;
	v->eval += t->eval_seconds;
	v->save += t->save_seconds;
	v->flops += t->planned_flops;
	v->int_ops += t->planned_int_ops;
	v->bytes = fmax(v->bytes, (double)t->planned_bytes);
	v->n++;
}

/* Of so many whole runs, begun or gone on with so often. */
static void predict_search(struct predicted *p, const struct survey *v, double runs, double times)
{
	double each = (v->open + v->start + v->save) / v->n;

	predict_begin(p, "search");
	predict_phase(p, "steps", runs * v->step / v->n);
	predict_phase(p, "evaluations", times * v->eval / v->n);
	predict_phase(p, "beginnings", times * each);
	predict_phase(p, "held-back rows", each + v->eval / v->n);
	p->loose_seconds = 0.5 * p->seconds;
	predict_operations(p, runs * v->flops / v->n, runs * v->int_ops / v->n);
	predict_part(p, "trial", v->bytes, "of the largest method");
	predict_part(p, "study", 1e6 + 0.02 * v->bytes, "what is kept of trials, and what they leave");
}

static json_t *search_facts(const struct study *s, double runs, double times)
{
	return json_pack("{s:I, s:f, s:f, s:f, s:I}", "trials", (json_int_t)s->rungs.trials, "whole_runs", runs,
	                 "beginnings", times, "run_seconds", s->most, "options_varied", (json_int_t)s->space.n);
}

struct lines { const struct study *s; double runs, times; };

static void show_lines(const void *ctx, say_fn *say)
{
	const struct lines *l = ctx;
	const struct study *s = l->s;

	say("plan: %s%.0f trials over %zu options by %s, %s", s->share > 0 ? "about " : "",
	    fmin((double)s->rungs.trials, l->times), s->space.n, s->o.sampler,
	    s->rungs.by == RUNGS_NONE ? "each to its end" : s->o.pruner);
	say("  begun or gone on with %.0f times, as much as %.3g whole runs", l->times, l->runs);
}

/* The share of --max-gas that so many runs would take, by all that is known; 0: there is no limit. */
static double share_of(const struct survey *v, double runs, double times)
{
	struct predicted p;
	struct predicted_spans spans;
	struct err over = ERR_INIT;            /* that it is too much is what is asked */
	struct gas g;
	json_t *plan;

	predict_search(&p, v, runs, times);
	predict_open(&p, metering_seconds());
	metering_plan(&p, NULL, &plan, &spans, &g, &over);
	json_decref(plan);
	return metering_share_of(&g);
}

/* As many runs as there is gas for; one is the least, and may be refused. */
static void fit_gas(struct study *s, const struct survey *v, double length, double *runs, double *times)
{
	enum { ROUNDS = 6 };
	double one = share_of(v, 1, 1), none = share_of(v, 1e-9, 1e-9), end = none > 0 ? none : 0;

	s->share = one - end;
	s->beginning = (v->open + v->start) / v->n;
	if (!(s->share > 0) && s->o.trials == OPT_UNSET_INT) /* of what is limited nothing is known */
		s->rungs.trials = TRIALS_USUAL;
	*runs = length * rungs_cost(&s->rungs, times);
	s->reserve = fmin(0.5, 0.02 + end);
	for (int i = 0; i < ROUNDS; i++) {
		double share = share_of(v, *runs, *times);
		if (share <= gas_used)
			return;
		*runs *= 0.97 * gas_used / share;
		*times *= 0.97 * gas_used / share;
	}
}

static int show_plan(struct study *s, const struct survey *v, double length, struct err *e)
{
	double times, runs;
	struct predicted p;

	fit_gas(s, v, length, &runs, &times);
	struct lines l = { s, runs, times };
	struct planned_options o = { .facts = search_facts(s, runs, times), .lines = show_lines, .ctx = &l,
		                     .always = true };
	predict_search(&p, v, runs, times);
	return planned(s->app, &p, &o, e);
}

/* Operations of the machine's own profile, or the usual ratio: only how int8 compares with f32 matters. */
static void take_rates(struct study *s, const struct trainer_plan *t)
{
	struct profile p;
	double flops = t->planned_flops - t->planned_int_ops, ratio = 0.5;

	if (machine_recall(s->app, &p) && p.sgemm_flops > 0 && p.int8_ops > 0)
		ratio = p.sgemm_flops / p.int8_ops;
	s->flop_seconds = t->planned_seconds / fmax(1, flops + ratio * t->planned_int_ops);
	s->int_op_seconds = ratio * s->flop_seconds;
	s->most = t->planned_seconds;
}

/* This method, at the largest size that the space has for it. */
static int take_largest(const struct study *s, struct opt_parse *p, const char *method, struct err *e)
{
	const struct adapter_type *type = method_adapter(method);
	const struct space_param *size = type && type->size_option ? space_find(&s->space, type->size_option) : NULL;

	if (opt_assign(p, "method", method, e) < 0)
		return -1;
	double most = size && size->range ? size->max : 0;
	for (size_t i = 0; size && i < size->n; i++)
		most = fmax(most, strtod(size->values[i], NULL));
	if (most > 0)
		opt_put(p, size->name, most);
	return 0;
}

/* The plan of the recipe with this method, or with nothing varied (NULL), which is told to the ledger. */
static int plan_one(struct study *s, const char *method, struct survey *v, double *length, struct err *e)
{
	struct study_options h;
	struct trainer *t = NULL;
	struct speeds speeds = machine_speeds(s->app);

	if (study_options(&h, s, e) < 0)
		return -1;
	struct recipe *r = &h.o.recipe;
	r->out = r->out ? r->out : ".";
	r->forgetting = r->forgetting && opt_given(&h.parse, "forgetting");
	r->eval_steps = opt_given(&h.parse, "eval-steps") ? r->eval_steps : 0;
	r->eval_on_start = r->eval_on_start && opt_given(&h.parse, "eval-on-start");
	r->speeds = &speeds;
	int status = method ? take_largest(s, &h.parse, method, e) : 0;
	if (!status && !(status = recipe_resolve(r, e))) {
		recipe_settle(r, s->app->kernels);
		status = trainer_open(&t, r, s->app->device, e);
	}
	if (!status)
		survey_add(v, trainer_plan(t));
	if (!status && !method) {
		metering_seed(r->seed);
		metering_in("model", r->model, trainer_model_hash(t));
		metering_in("data", r->data, trainer_data_hash(t, false));
		metering_in("eval_data", r->eval_data, trainer_data_hash(t, true));
		take_rates(s, trainer_plan(t));
		*length = length_of(s, r);
	}
	trainer_close(t);
	opt_release(&h.parse);
	return status;
}

/* Methods that cannot be will fail as trials; that is told then. */
static int plan_search(struct study *s, struct err *e)
{
	static const struct log_sink silent = { 0 };
	const struct space_param *methods = space_find(&s->space, "method");
	struct survey all = { 0 }, usual = { 0 };
	struct err ignored = ERR_INIT;
	double length = 1;

	if (plan_one(s, NULL, &usual, &length, e) < 0)
		return -1;
	const struct log_sink *was = log_lend(&silent);
	for (size_t i = 0; methods && i < methods->n && !app_interrupted(); i++)
		plan_one(s, methods->values[i], &all, NULL, &ignored);
	log_lend(was);
	return show_plan(s, all.n > 0 ? &all : &usual, length, e);
}

/* --- the folder --- */

static int clear_old(const char *dir, struct err *e)
{
	static const char *const names[] = { "trials", "rows", "front.svg", "study.json" };
	int status = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && !status; i++) {
		char *path = io_join(dir, names[i]);
		status = io_exists(path) ? io_remove_tree(path, e) : 0;
		mem_free(path);
	}
	return status;
}

static int check_folder(const struct study *s, struct err *e)
{
	const char *dir = s->o.recipe.out;
	bool empty;

	if (output_place("out", dir, OUTPUT_FOLDER, true, e) < 0 || io_dir_is_empty(dir, &empty, e) < 0)
		return -1;
	if (empty || (study_is(dir) && s->o.recipe.overwrite))
		return 0;
	return err_set(e, "%s is not empty%s", dir, study_is(dir) ?
	               "; --overwrite replaces the search in it, kungfu resume goes on with it" :
	               ", and holds no search");
}

/* A search that cannot begin leaves nothing that stands in the way of the next try. */
static int fail_early(struct study *s)
{
	struct err ignored = ERR_INIT;

	clear_old(s->dir, &ignored);
	rmdir(s->dir);
	return -1;
}

static void begin_process(struct study *s)
{
	char now[32];

	clock_iso(now);
	json_array_append_new(s->processes, json_pack("{s:s, s:s}", "began", now, "version", KUNGFU_VERSION));
	metering_directory(s->dir);
}

static int make_folder(struct study *s, struct err *e)
{
	char whole[PATH_MAX];
	const char *dir = s->o.recipe.out;

	if (check_folder(s, e) < 0 || io_mkdirs(dir, e) < 0 || io_lock_dir(dir, &s->lock, e) < 0)
		return -1;
	s->dir = mem_strdup(realpath(dir, whole) ? whole : dir);
	begin_process(s);
	return clear_old(dir, e) < 0 || study_save(s, e) < 0 || study_split(s, e) < 0 ? fail_early(s) : 0;
}

static int search(struct study *s, struct opt_parse *p, struct err *e)
{
	if (check_asked(s, p, e) < 0 || read_space(s, e) < 0)
		return app_usage(&cmd_search, "%s", e->msg);
	study_settle(s);
	if (keep_words(s, s->app, e) < 0 || (!s->app->plans && check_folder(s, e) < 0) || plan_search(s, e) < 0)
		return -1;
	s->decisions = json_array();
	s->processes = json_array();
	s->hits = -1;
	s->status = "running";
	gas_none(&s->before);
	return make_folder(s, e) < 0 || study_save(s, e) < 0 ? -1 : study_run(s, e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct study s = { .app = app, .o = *(struct search *)options };

	app_catch_signals();
	s.parse = *p; /* borrowed: what was given is asked of it */
	int status = search(&s, p, e);
	s.parse = (struct opt_parse){ 0 };
	study_release(&s);
	return status;
}

/* --- going on --- */

static int go_on(struct study *s, struct err *e)
{
	if (!strcmp(s->status, "finished")) {
		log_say("%s: this search is finished; there is nothing to resume", s->dir);
		return study_report(s, e);
	}
	if (!s->selection && study_split(s, e) < 0) /* it had just begun */
		return -1;
	begin_process(s);
	metering_seed(s->o.recipe.seed);
	metering_in("model", s->o.recipe.model, NULL);
	metering_in("data", s->o.recipe.data, NULL);
	if (s->o.common.max_gas && metering_set_limit(s->o.common.max_gas, e) < 0)
		return -1;
	return study_save(s, e) < 0 ? -1 : study_run(s, e);
}

int search_resume(struct app *app, const char *dir, struct err *e)
{
	struct study s;

	if (app->plans)
		return err_set(e, "%s is a search, which is planned when it begins: kungfu plan search", dir);
	app_catch_signals();
	int status = study_load(&s, app, dir, e) < 0 ? -1 : go_on(&s, e);
	study_release(&s);
	return status;
}

const struct command cmd_search = {
	.name = "search",
	.summary = "find the method and the options that learn your rows best, for the gas that there is",
	.usage = "MODEL --data FILE --eval-data FILE --out DIR [--space FILE] [options]",
	.example = "kungfu search m.gguf --data a --eval-data b --out s",
	.brief = "the best method, options",
	.plans = true,
	.order = 51,
	.opts = search_opts,
	.options_size = sizeof(struct search),
	.most = 1, .wanted = "one model was wanted (rows are given by --data FILE)",
	.run = run,
};
