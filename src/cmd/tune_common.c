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
#include "base/term.h"
#include "cmd/metering.h"
#include "cmd/pretrain/pretrain.h"
#include "cmd/trial.h"
#include "feedback/said.h"
#include "model/prepare.h"
#include "train/objective.h"
#include "train/ranks.h"

const struct opt tune_opts[] = {
	RECIPE_OPTS(struct tune, recipe),
	OPT_GROUP("This command"),
	PROFILE_OPTS(struct tune, profiling, "the run directory"),
	OPT_LIST("set", struct tune, set, "NAME=VALUE", "overrides a value of recipe.yaml"),
	COMMON_OPTS(struct tune, common),
	OPT_END
};

/* --- options --- */

bool tune_is_recipe(const char *name)
{
	const char *dot = strrchr(name, '.');
	return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

int tune_sets(const struct opt_list *set, struct opt_parse *p, struct err *e)
{
	for (size_t i = 0; i < set->n; i++) {
		const char *is = strchr(set->items[i], '=');
		if (!is)
			return err_set(e, "--set %s: NAME=VALUE was wanted", set->items[i]);
		char *name = mem_strndup(set->items[i], (size_t)(is - set->items[i]));
		int status = opt_find(p->declared, name) && opt_given(p, name) ? 0 : opt_assign(p, name, is + 1, e);
		mem_free(name);
		if (status)
			return err_prefix(e, "--set");
	}
	return 0;
}

static int apply_positionals(struct tune *t, struct opt_parse *p, struct err *e)
{
	const char *word = p->n_positional ? p->positional[0] : NULL;

	if (tune_sets(&t->set, p, e) < 0)
		return -1;
	if (word && tune_is_recipe(word))
		return opt_yaml(p, word, e);
	if (word && t->recipe.model && strcmp(word, t->recipe.model) != 0)
		return err_set(e, "the model is given twice: %s and --model %s", word, t->recipe.model);
	if (word)
		t->recipe.model = word;
	return 0;
}

void tune_whole_path(struct arena *mem, const char **path)
{
	char whole[PATH_MAX];
	if (*path && realpath(*path, whole))
		*path = arena_strdup(mem, whole);
}

/* The same of @FILE. */
static void make_file_absolute(struct tune *t, const char **text)
{
	const char *path = *text && **text == '@' ? *text + 1 : NULL;

	tune_whole_path(&t->paths, &path);
	if (path)
		*text = arena_printf(&t->paths, "@%s", path);
}

static void warn_unused(const struct recipe *r, const struct opt_parse *p)
{
	struct buf sentence = BUF_INIT;
	recipe_unused(r, p, &sentence);
	if (sentence.len)
		log_warn("%s", buf_str(&sentence));
	buf_release(&sentence);
}

static bool has_option(const struct objective *o, const char *name)
{
	for (const struct opt *x = o->opts; x && x->name; x++)
		if (!strcmp(x->name, name))
			return true;
	return false;
}

/* Where rows are a feedback file's and nobody says another, a loss that takes --label-smoothing has the share of labels
 * that are wrong, as raters who judged the same say. */
static int take_noise(const struct tune *t, struct opt_parse *p, struct err *e)
{
	static const char option[] = "label-smoothing";
	const struct recipe *r = &t->recipe;
	const struct objective *o = objective_find(r->objective);
	struct err taken;
	double noise;

	if (!r->data || !o || !has_option(o, option) || opt_given(p, option) || !feedback_is(r->data))
		return 0;
	if (said_noise(r->data, &noise, e) < 0)
		return -1;
	if (!(noise > 0))
		return 0;
	opt_put(p, option, noise);
	if (o->check(opt_row_options(objective_rows, r->objective_options, r->objective), &taken) < 0)
		opt_put(p, option, 0);
	else
		log_say("--%s %.3g: so many labels are wrong, as raters who judged the same say", option, noise);
	return 0;
}

/* Who learns as some layers of a model learns from all of them, where nobody says another. */
static int take_teacher(const struct tune *t, struct opt_parse *p, struct err *e)
{
	const struct objective *o = objective_find(t->recipe.objective);

	if (!t->recipe.student_layers || !t->recipe.model || !o || !has_option(o, "teacher") || opt_given(p, "teacher"))
		return 0;
	return opt_assign(p, "teacher", t->recipe.model, e);
}

int tune_resolve(struct app *app, struct tune *t, struct opt_parse *p, struct err *e)
{
	t->began = clock_seconds();
	if (app->plans && !t->recipe.out)
		t->recipe.out = ".";
	if (apply_positionals(t, p, e) < 0 || take_noise(t, p, e) < 0 || take_teacher(t, p, e) < 0 ||
	    recipe_resolve(&t->recipe, e) < 0)
		return -1;
	recipe_settle(&t->recipe, app->kernels);
	tune_whole_path(&t->paths, &t->recipe.model);
	tune_whole_path(&t->paths, &t->recipe.data);
	tune_whole_path(&t->paths, &t->recipe.eval_data);
	tune_whole_path(&t->paths, &t->recipe.retain);
	tune_whole_path(&t->paths, &t->recipe.replay);
	tune_whole_path(&t->paths, &t->recipe.instruction_data);
	make_file_absolute(t, &t->recipe.new_tokens);
	warn_unused(&t->recipe, p);
	return 0;
}

/* --- the run, as a person sees it --- */

struct show {
	struct app *app;
	double began;
};

/* Of an evaluation: its loss, and how often it was right or how likely what was said. */
static void say_evaluation(const json_t *line)
{
	const char *name;
	json_t *value;
	char more[80] = "";

	/* bits per byte say more than a perplexity, and come first */
	json_object_foreach((json_t *)line, name, value)
		if (!strcmp(name, "eval_acc") || !strcmp(name, "eval_bits_per_byte") || strstr(name, "accurac") ||
		    (!strcmp(name, "eval_perplexity") && !json_object_get(line, "eval_bits_per_byte")))
			snprintf(more, sizeof(more), ", %s %.3f", name, json_number_value(value));
	log_say("step %lld: eval_loss %.4f%s", json_integer_value(json_object_get(line, "step")),
	        json_number_value(json_object_get(line, "eval_loss")), more);
}

static void say_sample(const json_t *line)
{
	const char *text = json_string_value(json_object_get(line, "sample"));
	struct buf shown = BUF_INIT;

	for (const char *at = text ? text : ""; *at; at++) {
		size_t n = strcspn(at, "\n");
		buf_adds(&shown, "\n  | ");
		term_text(&shown, at, n);
		at += n;
		if (!*at)
			break;
	}
	log_say("step %lld writes:%s", json_integer_value(json_object_get(line, "step")), buf_str(&shown));
	buf_release(&shown);
}

static void show_line(void *ctx, const json_t *line)
{
	const struct show *s = ctx;

	if (s->app->json)
		app_json(line);
	if (json_object_get(line, "eval_loss"))
		say_evaluation(line);
	if (json_object_get(line, "sample"))
		say_sample(line);
}

static void show_progress(void *ctx, const struct train_loop_progress *p)
{
	char left[32];

	(void)ctx;
	clock_human(p->seconds_left, left);
	log_live("step %ld/%ld  loss %.4f  lr %.3g  %.0f tokens/s  %s left  %s", p->step, p->steps, p->loss,
	         p->learning_rate, p->tokens_per_second, left, metering_live());
}

static void say_resumed(void *ctx, long step, const struct train_loop *f)
{
	(void)ctx;
	log_say("going on after step %ld of %ld", step, trainer_plan(f->trainer)->steps);
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

static void say_refused(const json_t *j, const char *what, const char *key)
{
	char name[5][80];
	static const char *const parts[] = { "before", "after", "change", "change_low", "change_high" };

	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		snprintf(name[i], sizeof(name[i]), "%s_%s", key, parts[i]);
	log_say("refused: %.4g of %lld %s prompts, before %.4g; change %.4g (95 %%: %.4g to %.4g)",
	        number_of(j, name[1]), json_integer_value(json_object_get(j, "safety_pairs")), what,
	        number_of(j, name[0]), number_of(j, name[2]), number_of(j, name[3]), number_of(j, name[4]));
}

static void say_forgotten(const json_t *j)
{
	say_retained(j, "retain_acc_before", "retain_acc", "retain_acc_change");
	say_retained(j, "retain_perplexity_before", "retain_perplexity", "retain_perplexity_ratio");
	if (json_object_get(j, "safety_pairs")) {
		say_refused(j, "harmful", "safety_refusal");
		say_refused(j, "harmless", "safety_over_refusal");
	}
	if (j)
		log_say("forgotten: KL %.4g ± %.2g a token to the model before, on %lld tokens of its own",
		        number_of(j, "forgetting_kl"), number_of(j, "forgetting_kl_stderr"),
		        json_integer_value(json_object_get(j, "forgetting_tokens")));
}

/* steps: of this process */
static void say_ranks(const struct ranks *r, long steps)
{
	char sent[32], received[32];

	if (!r || steps < 1)
		return;
	log_say("%d ranks: of rank 0 a step has %s that it sends and %s that it receives, for which it waits %.3g s",
	        r->size, human_bytes((size_t)(r->sent / (double)steps), sent),
	        human_bytes((size_t)(r->received / (double)steps), received), r->waited / (double)steps);
}

static void say_end(void *ctx, const struct train_loop *f, const json_t *facts, bool done)
{
	const struct trainer_plan *p = trainer_plan(f->trainer);
	const struct show *s = ctx;
	char time[32], planned[32], peak[32], gas[400];
	struct gas whole;

	log_live_end();
	if (!done) {
		log_say("stopped after step %ld of %ld; go on with: kungfu resume %s", trainer_steps_done(f->trainer),
		        p->steps, f->dir->path);
		return;
	}
	size_t unknown, n = trial_whole_gas(facts, &whole, &unknown);
	clock_human(n > 1 ? whole.seconds : clock_seconds() - s->began, time);
	log_say("done: %ld steps, loss %.4f, %.0f tokens/s, %s, %s; memory planned %s, used %s",
	        trainer_steps_done(f->trainer), f->loss,
	        fit_tokens_per_second(f, false), time, compute_name(trainer_compute(f->trainer)),
	        human_bytes(p->planned_bytes, planned), human_bytes(mem_rss_peak(), peak));
	say_ranks(s->app->ranks, trainer_steps_done(f->trainer) - p->first);
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

int tune_run(struct app *app, const struct recipe *r, enum trial_folder folder, const char *command, double began,
             struct profiling *profiling, struct err *e)
{
	struct show show = { app, began };
	struct trial_options o = {
		.recipe = r, .folder = folder, .command = command, .profiling = profiling, .began = began,
		.line = show_line, .progress = show_progress, .resumed = say_resumed, .ended = say_end, .ctx = &show,
	};
	struct trial_result result;

	if (trial_run(app, &o, &result, e) < 0)
		return -1;
	if (app->json)
		app_json(result.summary);
	int status = result.end == TRIAL_DONE ? EXIT_DONE : EXIT_STOPPED;
	if (result.end == TRIAL_DONE && shards_are(r->data) && pretrain_curve(r->out, app->quiet, e) < 0)
		status = -1;
	trial_result_release(&result);
	return status;
}
