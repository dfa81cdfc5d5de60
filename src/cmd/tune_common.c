/* tune_common: the options of tune, and a run as a person or a script sees it. The run itself is
 * train/train_loop.c; here is what a person or a script sees of it. */
#include "cmd/tune_common.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/estimate.h"
#include "gas/profile.h"
#include "train/train_loop.h"
#include "train/run_log.h"
#include "model/prepare.h"
#include "op/timing.h"

const struct opt tune_opts[] = {
	RECIPE_OPTS(struct tune, recipe),
	OPT_GROUP("This command"),
	PROFILE_OPTS(struct tune, profiling, "the run directory"),
	OPT_LIST("set", struct tune, set, "NAME=VALUE", "overrides a value of recipe.yaml; may be repeated"),
	COMMON_OPTS(struct tune, common),
	OPT_END
};

/* --- options --- */

static bool is_yaml(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

/* Command line over --set over the file. */
static int apply_sets(struct tune *t, struct opt_parse *p, struct err *e)
{
	for (size_t i = 0; i < t->set.n; i++) {
		const char *is = strchr(t->set.items[i], '=');
		if (!is)
			return err_set(e, "--set %s: NAME=VALUE was wanted", t->set.items[i]);
		char *name = mem_strndup(t->set.items[i], (size_t)(is - t->set.items[i]));
		int status = opt_find(tune_opts, name) && opt_given(p, name) ? 0 : opt_assign(p, name, is + 1, e);
		mem_free(name);
		if (status)
			return err_prefix(e, "--set");
	}
	return 0;
}

static int apply_positionals(struct tune *t, struct opt_parse *p, struct err *e)
{
	const char *word = p->n_positional ? p->positional[0] : NULL;

	if (apply_sets(t, p, e) < 0)
		return -1;
	if (word && is_yaml(word))
		return opt_yaml(p, word, e);
	if (word && t->recipe.model && strcmp(word, t->recipe.model) != 0)
		return err_set(e, "the model is given twice: %s and --model %s", word, t->recipe.model);
	if (word)
		t->recipe.model = word;
	return 0;
}

/* Whole paths, so that resume works from any folder; one that is not there is left for whoever opens it to complain
 * of. */
static void make_absolute(struct tune *t, const char **path)
{
	char whole[PATH_MAX];
	if (*path && realpath(*path, whole))
		*path = arena_strdup(&t->paths, whole);
}

static void warn_unused(const struct recipe *r, const struct opt_parse *p)
{
	struct buf sentence = BUF_INIT;
	recipe_unused(r, p, &sentence);
	if (sentence.len)
		log_warn("%s", buf_str(&sentence));
	buf_release(&sentence);
}

int tune_resolve(struct app *app, struct tune *t, struct opt_parse *p, struct err *e)
{
	t->began = clock_seconds();
	if (app->plans && !t->recipe.out)
		t->recipe.out = ".";
	if (apply_positionals(t, p, e) < 0 || recipe_resolve(&t->recipe, e) < 0)
		return -1;
	recipe_settle(&t->recipe, app->kernels);
	make_absolute(t, &t->recipe.model);
	make_absolute(t, &t->recipe.data);
	make_absolute(t, &t->recipe.eval_data);
	make_absolute(t, &t->recipe.retain);
	make_absolute(t, &t->recipe.replay);
	warn_unused(&t->recipe, p);
	return 0;
}

/* --- the plan --- */

#define FORGETTING_SHARE 0.03      /* of a run's seconds; less is not worth a word */

static void predict_tune(struct predicted *out, const struct trainer_plan *p, const struct recipe *r,
                         const char *compute)
{
	predict_begin(out, "tune %s %s", r->method, compute);
	predict_phase(out, "start", p->start_seconds);
	predict_phase(out, "steps", p->step_seconds);
	predict_phase(out, "evaluations", p->eval_seconds);
	predict_phase(out, "saving", p->save_seconds);
	if (p->forgetting_tokens)
		predict_phase(out, "forgetting", p->forgetting_seconds);
	out->loose_seconds = hypot((double)(p->state_bytes + p->arena_bytes) / TIMING_SLOW_RATE, p->save_seconds);
	predict_operations(out, p->planned_flops, p->planned_int_ops);
	predict_part(out, "weights", (double)p->weights_bytes, "of the model, as its file stores them");
	predict_part(out, "state", (double)p->state_bytes, "parameters, gradients, optimizer");
	predict_part(out, "arena", (double)p->arena_bytes,
	             p->recomputed_nodes ? "activations; some are recomputed" : "activations; all are kept");
	predict_part(out, "scratch", (double)p->scratch_bytes, "of the threads");
	predict_part(out, "batch", (double)p->batch_bytes, "of a micro-batch");
	predict_part(out, "eval", (double)p->eval_bytes, "the evaluation's own activations");
	predict_part(out, "base", (double)p->base_bytes, "program, libraries, tokenizer, data");
}

static json_t *tune_facts(const struct trainer_plan *p)
{
	json_t *j = json_object();

	json_object_set_new(j, "disk_bytes", json_integer((json_int_t)p->disk_bytes));
	json_object_set_new(j, "steps", json_integer(p->steps - p->first));
	json_object_set_new(j, "steps_done", json_integer(p->first));
	json_object_set_new(j, "epochs", json_real(p->epochs));
	json_object_set_new(j, "micro_batches", json_integer(p->micro_batches));
	json_object_set_new(j, "documents", json_integer(p->documents));
	json_object_set_new(j, "tokens", json_integer(p->tokens));
	json_object_set_new(j, "computed_tokens", json_integer(p->computed_tokens));
	json_object_set_new(j, "supervised_tokens", json_integer(p->supervised_tokens));
	json_object_set_new(j, "forgetting_tokens", json_integer(p->forgetting_tokens));
	json_object_set_new(j, "recomputed_nodes", json_integer(p->recomputed_nodes));
	json_object_set_new(j, "trainable_parameters", json_integer((json_int_t)p->trainable));
	json_object_set_new(j, "parameters", json_integer((json_int_t)p->parameters));
	if (p->virtual_tokens)
		json_object_set_new(j, "virtual_tokens", json_integer(p->virtual_tokens));
	if (p->products)
		json_object_set_new(j, "adapter_flops_per_token", json_real(p->product_flops));
	return j;
}

/* What measuring it takes, and a word where that is much of a short run. */
static void say_forgetting(const struct trainer_plan *p, say_fn *say)
{
	double both = p->drawing_seconds + p->forgetting_seconds, share = both / p->planned_seconds;
	char seconds[32];

	if (!p->forgetting_tokens)
		return;
	predict_human(both, seconds);
	say("  what is forgotten is measured on %lld tokens: %s%s", (long long)p->forgetting_tokens, seconds,
	    share > FORGETTING_SHARE ? ", much of so short a run; --no-forgetting leaves it out" : "");
}

static void show_plan(const void *ctx, say_fn *say)
{
	const struct trainer_plan *p = ctx;
	char a[32], b[32], c[32], d[32], of[64] = "";

	if (p->first)
		snprintf(of, sizeof(of), " of %ld, after step %ld", p->steps, p->first);
	say("plan: %ld step%s%s (%.4g epoch%s of %lld document%s), %ld micro-batch%s", p->steps - p->first,
	    p->steps - p->first == 1 ? "" : "s", of, p->epochs, p->epochs == 1 ? "" : "s", (long long)p->documents,
	    p->documents == 1 ? "" : "s", p->micro_batches, p->micro_batches == 1 ? "" : "es");
	say("  %s tokens as written, %s computed, %s supervised", human_count((double)p->tokens, a),
	    human_count((double)p->computed_tokens, b), human_count((double)p->supervised_tokens, c));
	say("  %s trainable parameters of %s; %s of disk", human_count((double)p->trainable, a),
	    human_count((double)p->parameters, b), human_bytes(p->disk_bytes, d));
	if (p->products)
		say("  %zu products of each token beside the model's, %s operations, in answers too", p->products,
		    human_count(p->product_flops, a));
	say_forgetting(p, say);
}

int tune_planned(struct app *app, const struct trainer *t, const struct recipe *r, json_t **kept, struct err *e)
{
	const struct trainer_plan *plan = trainer_plan(t);
	struct planned_options o = {
		.facts = tune_facts(plan), .lines = show_plan, .ctx = plan, .kept = kept, .always = true
	};
	struct predicted p;

	metering_seed(r->seed);
	metering_in("model", r->model, trainer_model_hash(t));
	metering_in("data", r->data, trainer_data_hash(t, false));
	metering_in("eval_data", r->eval_data, trainer_data_hash(t, true));
	predict_tune(&p, plan, r, compute_name(trainer_model((struct trainer *)t)->compute));
	return planned(app, &p, &o, e);
}

/* --- the run --- */

struct show {
	struct app *app;
	struct profiling *profiling;     /* or NULL */
	double began;
	json_t *facts;                   /* run.json */
	const struct train_loop *loop;
	struct train_loop restored;      /* what earlier processes had done */
};

/* Of an evaluation: its loss, and how often it was right or how likely what was said. */
static void say_evaluation(const json_t *line)
{
	const char *name;
	json_t *value;
	char more[80] = "";

	json_object_foreach((json_t *)line, name, value)
		if (!strcmp(name, "eval_acc") || !strcmp(name, "eval_perplexity") || strstr(name, "accurac"))
			snprintf(more, sizeof(more), ", %s %.3f", name, json_number_value(value));
	log_say("step %lld: eval_loss %.4f%s", json_integer_value(json_object_get(line, "step")),
	        json_number_value(json_object_get(line, "eval_loss")), more);
}

static void show_line(void *ctx, const json_t *line)
{
	struct show *s = ctx;

	if (s->app->json)
		app_json(line);
	if (json_object_get(line, "eval_loss"))
		say_evaluation(line);
}

/* What this process did: not the pieces before it, which have entries of their own. */
static void tell_counts(const struct show *s)
{
	const struct train_loop *f = s->loop, *before = &s->restored;

	metering_count(f->tokens - before->tokens, 0, f->supervised_tokens - before->supervised_tokens,
	               f->flops - before->flops, f->int_ops - before->int_ops);
}

/* run.json knows what each process of the run took, also one that is killed later. */
static void keep_gas(const struct show *s)
{
	struct err ignored = ERR_INIT;
	json_t *all = json_object_get(s->facts, "processes"), *own = json_array_get(all, json_array_size(all) - 1);

	json_object_set_new(own, "gas", metering_so_far());
	run_dir_set_facts(s->loop->dir, s->facts, &ignored);
}

/* The sum over the run's processes; *unknown: how many of them told nothing. */
static size_t whole_run(const struct show *s, struct gas *g, size_t *unknown)
{
	const json_t *all = json_object_get(s->facts, "processes");
	size_t n = json_array_size(all);

	gas_none(g);
	*unknown = 0;
	for (size_t i = 0; i < n; i++) {
		const json_t *gas = json_object_get(json_array_get(all, i), "gas");
		*unknown += !gas;
		if (gas)
			gas_add_kept(g, gas);
	}
	return n;
}

static void show_progress(void *ctx, const struct train_loop_progress *p)
{
	struct show *s = ctx;
	char left[32];

	tell_counts(s);
	if (metering_tick())
		keep_gas(s);
	clock_human(p->seconds_left, left);
	log_live("step %ld/%ld  loss %.4f  lr %.3g  %.0f tokens/s  %s left  %s", p->step, p->steps, p->loss,
	         p->learning_rate, p->tokens_per_second, left, metering_live());
}

static void note_phase(void *ctx, const char *name)
{
	const struct show *s = ctx;

	metering_phase(name);
	if (!strcmp(name, "saving")) {
		tell_counts(s);
		keep_gas(s);
	}
}

static void put_eval(json_t *summary, const json_t *eval)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)eval, key, value) {
		if (!strcmp(key, "eval_loss"))
			json_object_set(summary, key, value);
		else if (!strncmp(key, "eval_", 5) && strcmp(key, "eval_runtime") != 0)
			json_object_set(summary, key + 5, value);
	}
}

static json_t *summarize(const struct train_loop *f, const struct show *s, const char *status)
{
	const struct trainer_plan *p = trainer_plan(f->trainer);
	long steps = trainer_steps_done(f->trainer);
	json_t *j = json_object();

	json_object_set_new(j, "status", json_string(status));
	json_object_set_new(j, "compute", json_string(compute_name(trainer_compute(f->trainer))));
	json_object_set_new(j, "out", jsonx_path(f->dir->path));
	json_object_set_new(j, "steps", json_integer(steps));
	json_object_set_new(j, "loss", steps ? jsonx_number(f->loss) : json_null());
	json_object_set_new(j, "train_loss", steps ? jsonx_number(f->loss_sum / (double)steps) : json_null());
	json_object_set_new(j, "tokens_per_second", jsonx_number(fit_tokens_per_second(f, false)));
	json_object_set_new(j, "computed_tokens_per_second", jsonx_number(fit_tokens_per_second(f, true)));
	json_object_set_new(j, "seconds", json_real(clock_seconds() - s->began));
	json_object_set_new(j, "planned_seconds", jsonx_number(p->planned_seconds));
	json_object_set_new(j, "planned_bytes", json_integer((json_int_t)p->planned_bytes));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	json_object_set_new(j, "flops", json_real(f->flops - f->int_ops));
	json_object_set_new(j, "int_ops", json_real(f->int_ops));
	json_object_set_new(j, "tokens", json_integer(f->tokens));
	json_object_set_new(j, "computed_tokens", json_integer(f->computed_tokens));
	json_object_set_new(j, "supervised_tokens", json_integer(f->supervised_tokens));
	json_object_set_new(j, "trainable_parameters", json_integer((json_int_t)p->trainable));
	if (p->virtual_tokens)
		json_object_set_new(j, "virtual_tokens", json_integer(p->virtual_tokens));
	if (p->products)
		json_object_set_new(j, "adapter_flops_per_token", json_real(p->product_flops));
	put_eval(j, f->recipe->load_best_model_at_end ? f->best_eval : f->last_eval);
	if (f->forgetting)
		json_object_update(j, f->forgetting);
	return j;
}

static json_t *file_facts(const char *path, const char *hash)
{
	return path ? json_pack("{s:o, s:s}", "path", jsonx_path(path), "hash", hash) : json_null();
}

static json_t *command_words(const struct app *app, const char *name)
{
	json_t *words = json_pack("[s, s]", "kungfu", name);
	for (int i = 0; i < app->argc; i++)
		json_array_append_new(words, jsonx_path(app->argv[i]));
	return words;
}

/* What the run is and what it runs on; a resumed one adds itself to what is there. */
static json_t *make_facts(const struct app *app, const struct trainer *t, const struct recipe *r,
                          const struct run_dir *dir, const json_t *plan, bool resume)
{
	char now[32], *processor = profile_processor();
	json_t *j = resume ? run_dir_facts(dir) : NULL, *pieces, *process;

	clock_iso(now);
	if (!json_is_object(j)) {
		json_decref(j);
		j = json_object();
		json_object_set_new(j, "version", json_string(KUNGFU_VERSION));
		json_object_set_new(j, "seed", json_integer(r->seed));
		json_object_set_new(j, "method", json_string(r->method));
		json_object_set_new(j, "model", file_facts(r->model, trainer_model_hash(t)));
		json_object_set_new(j, "data", file_facts(r->data, trainer_data_hash(t, false)));
		json_object_set_new(j, "eval_data", file_facts(r->eval_data, trainer_data_hash(t, true)));
		json_object_set(j, "plan", (json_t *)plan);
		json_object_set_new(j, "processes", json_array());
	}
	pieces = json_object_get(j, "processes");
	process = json_pack("{s:o, s:s, s:s, s:s, s:s, s:i}", "command", command_words(app, resume ? "resume" : "tune"),
	                    "began", now, "version", KUNGFU_VERSION, "processor", processor, "kernels",
	                    app->kernels->name, "threads", pool_threads(app->pool));
	run_log_sign(process);
	json_array_append_new(pieces, process);
	json_object_set_new(j, "status", json_string("running"));
	mem_free(processor);
	return j;
}

static int set_status(const struct run_dir *dir, json_t *facts, const char *status, json_t *results, struct err *e)
{
	char now[32];
	clock_iso(now);
	json_object_set_new(facts, "status", json_string(status));
	json_object_set_new(facts, "ended", json_string(now));
	if (results)
		json_object_set(facts, "results", results);
	return run_dir_set_facts(dir, facts, e);
}

/* What could not be computed is null in the results. */
static double number_of(const json_t *j, const char *key)
{
	const json_t *x = json_object_get(j, key);

	return json_is_number(x) ? json_number_value(x) : NAN;
}

/* Of one row there is no interval. */
static void say_retained(const json_t *j, const char *before, const char *after, const char *change)
{
	char low[80], high[80], interval[80] = "";

	if (!json_object_get(j, before))
		return;
	snprintf(low, sizeof(low), "%s_low", change);
	snprintf(high, sizeof(high), "%s_high", change);
	if (isfinite(number_of(j, low)))
		snprintf(interval, sizeof(interval), " (95 %%: %.4g to %.4g)", number_of(j, low), number_of(j, high));
	log_say("retained: %s %.4g, before %.4g; %s %.4g%s, on %lld rows", after + strlen("retain_"),
	        number_of(j, after), number_of(j, before), strrchr(change, '_') + 1, number_of(j, change), interval,
	        json_integer_value(json_object_get(j, "retain_n")));
}

static void say_forgotten(const json_t *j)
{
	say_retained(j, "retain_acc_before", "retain_acc", "retain_acc_change");
	say_retained(j, "retain_perplexity_before", "retain_perplexity", "retain_perplexity_ratio");
	if (j)
		log_say("forgotten: KL %.4g ± %.2g a token to the model before, on %lld tokens of its own",
		        number_of(j, "forgetting_kl"), number_of(j, "forgetting_kl_stderr"),
		        json_integer_value(json_object_get(j, "forgetting_tokens")));
}

static void say_end(const struct train_loop *f, const struct show *s, enum train_loop_end end)
{
	const struct trainer_plan *p = trainer_plan(f->trainer);
	char time[32], planned[32], peak[32], gas[400];
	struct gas whole;

	log_live_end();
	if (end == FIT_STOPPED) {
		log_say("stopped after step %ld of %ld; go on with: kungfu resume %s", trainer_steps_done(f->trainer),
		        p->steps, f->dir->path);
		return;
	}
	size_t unknown, n = whole_run(s, &whole, &unknown);
	clock_human(n > 1 ? whole.seconds : clock_seconds() - s->began, time);
	log_say("done: %ld steps, loss %.4f, %.0f tokens/s, %s, %s; memory planned %s, used %s",
	        trainer_steps_done(f->trainer), f->loss, fit_tokens_per_second(f, false), time,
	        compute_name(trainer_compute(f->trainer)), human_bytes(p->planned_bytes, planned),
	        human_bytes(mem_rss_peak(), peak));
	metering_text(gas);
	if (gas[0])
		log_say("%s took %s", n > 1 ? "this process" : "it", gas);
	if (gas[0] && n > 1) {
		gas_text(&whole, gas);
		log_say("the whole run, of %zu processes, took %s%s%s", n, unknown ? "at least " : "", gas,
		        unknown ? ": not all of them are known" : "");
	}
	say_forgotten(f->forgetting);
	log_say("the result is in %s", f->dir->path);
	if (p->virtual_tokens)
		log_say("its %d virtual tokens stand before every text: an answer has as many places less, and waits "
		        "for them once", p->virtual_tokens);
}

/* Of a run of several processes the sums are the whole run's, as is the plan. */
static void put_whole_run(const struct show *s, json_t *summary)
{
	const json_t *plan = json_object_get(s->facts, "plan");
	struct gas whole;
	size_t unknown, n = whole_run(s, &whole, &unknown);

	if (n < 2)
		return;
	json_object_set_new(summary, "processes", json_integer((json_int_t)n));
	json_object_set_new(summary, "processes_unknown", json_integer((json_int_t)unknown));
	json_object_set_new(summary, "seconds", jsonx_number(whole.seconds));
	json_object_set_new(summary, "peak_rss_bytes", json_integer((json_int_t)whole.peak_rss_bytes));
	if (json_object_get(plan, "planned_seconds")) {
		json_object_set(summary, "planned_seconds", json_object_get(plan, "planned_seconds"));
		json_object_set(summary, "planned_bytes", json_object_get(plan, "planned_bytes"));
	}
	json_t *gas = json_object();
	gas_json(gas, &whole);
	json_object_del(gas, "flops");
	json_object_del(gas, "int_ops");
	json_object_del(gas, "energy_source");
	json_object_update(summary, gas);
	json_decref(gas);
}

static void tell_books(const struct show *s, json_t *summary, enum train_loop_end end)
{
	tell_counts(s);
	if (end == FIT_DONE)
		metering_out("result", s->loop->dir->path);
	keep_gas(s);
	put_whole_run(s, summary);
	metering_summary(summary);
}

static int run_steps(struct train_loop *f, struct show *s, json_t *facts, enum train_loop_end *end, struct err *e)
{
	long step = 0;

	if (train_loop_restore(f, &step, e) < 0)
		return -1;
	if (step)
		log_say("going on after step %ld of %ld", step, trainer_plan(f->trainer)->steps);
	s->restored = *f;
	if (train_loop_run(f, end, e) < 0 || (s->profiling && profiling_end(s->profiling, s->app, f->dir->path, e) < 0))
		return -1;
	const char *status = *end == FIT_DONE ? "finished" : "stopped";
	json_t *summary = summarize(f, s, status);
	tell_books(s, summary, *end);
	int rc = set_status(f->dir, facts, status, summary, e);
	say_end(f, s, *end);
	if (s->app->json && !rc)
		app_json(summary);
	json_decref(summary);
	return rc;
}

int tune_run(struct app *app, struct trainer *t, const struct recipe *r, struct run_dir *dir, json_t *plan,
             double began, bool resume, struct profiling *profiling)
{
	struct err e = ERR_INIT, ignored = ERR_INIT;
	struct show show = { .app = app, .began = began, .profiling = profiling };
	struct train_loop fit;
	enum train_loop_end end = FIT_DONE;

	json_t *facts = make_facts(app, t, r, dir, plan, resume);
	metering_directory(dir->path);
	train_loop_init(&fit, t, r, dir);
	show.facts = facts;
	show.loop = &fit;
	fit.interrupted = app_interrupted;
	fit.line = show_line;
	fit.progress = show_progress;
	fit.phase = note_phase;
	fit.ctx = &show;
	int status = run_dir_set_facts(dir, facts, &e);
	if (!status)
		status = run_steps(&fit, &show, facts, &end, &e);
	if (status) {
		log_live_end();
		keep_gas(&show);
		set_status(dir, facts, "failed", NULL, &ignored);
	}
	train_loop_release(&fit);
	json_decref(facts);
	json_decref(plan);
	return status ? app_fail(&e) : end == FIT_DONE ? EXIT_DONE : EXIT_STOPPED;
}
