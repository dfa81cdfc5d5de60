/* diff: in what two runs differ: what was asked for, on which data and model, by which version on which machine, and
 * what came of it. A score that knows its standard error says whether the difference is more than chance (95 %, as of
 * independent samples). */
#include "cmd/command.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/diff_behaviour.h"
#include "cmd/metering.h"
#include "cmd/text_table.h"
#include "train/run_log.h"

extern const struct command cmd_diff;

#define RESULTS "results"

struct diff {
	struct common common;
	bool all;
	struct behaviour_cmd behaviour;
};

static const struct opt diff_opts[] = {
	OPT_FLAG("all", struct diff, all, "false", "show what is the same, too"),
	BEHAVIOUR_OPTS(struct diff, behaviour),
	COMMON_OPTS(struct diff, common),
	OPT_END
};

/* Two runs being compared, section by section. */
struct comparison {
	const struct app *app;
	bool all;
	const struct run_log *a, *b;
	const char *section;
	struct table table;     /* of this section */
	struct buf text, same;  /* same: names of sections without a difference */
	size_t differences, in_section;
};

/* --- values --- */

/* As a person reads it; mem_free. */
static char *value_text(const json_t *v)
{
	if (!v || json_is_null(v))
		return mem_strdup("-");
	if (json_is_string(v))
		return mem_strdup(json_string_value(v));
	if (json_is_real(v))
		return mem_printf("%.6g", json_real_value(v));
	return jsonx_line(v);
}

static bool same_value(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b))
		return json_number_value(a) == json_number_value(b);
	return (!a || json_is_null(a)) && (!b || json_is_null(b)) ? true : json_equal((json_t *)a, (json_t *)b);
}

/* "+5.2 %", or with errors known "-0.031 ± 0.060, not more than chance". */
static void change_text(char out[96], const json_t *a, const json_t *b, double error)
{
	double x = json_number_value(a), y = json_number_value(b);
	if (!json_is_number(a) || !json_is_number(b) || x == y)
		return;
	if (error > 0)
		snprintf(out, 96, "%+.4f ± %.4f%s", y - x, error, fabs(y - x) < error ? ", not more than chance" : "");
	else if (x != 0)
		snprintf(out, 96, "%+.1f %%", 100 * (y - x) / fabs(x));
}

/* error: the half width of the difference's interval, 0 where it is not known. */
static void compare(struct comparison *c, const char *name, const json_t *a, const json_t *b, double error)
{
	bool same = same_value(a, b);
	char change[96];
	if (!same) {
		c->differences++;
		c->in_section++;
	}
	if (same && !c->all)
		return;
	change[0] = 0;
	if (!strcmp(c->section, RESULTS))
		change_text(change, a, b, error);
	if (c->app->json) {
		json_t *j = json_pack("{s:s, s:s, s:b, s:O?, s:O?}", "section", c->section, "name", name, "same",
		                      (int)same, "a", a, "b", b);
		app_json(j);
		json_decref(j);
		return;
	}
	char *left = value_text(a), *right = value_text(b);
	table_cell(&c->table, "%s", name);
	table_cell(&c->table, "%s", left);
	table_cell(&c->table, "%s", same ? "the same" : right);
	table_cell(&c->table, "%s", change);
	mem_free(left);
	mem_free(right);
}

/* --- sections --- */

static void begin_section(struct comparison *c, const char *name)
{
	c->section = name;
	c->in_section = 0;
	c->table = (struct table){ .columns = 4 };
}

static void end_section(struct comparison *c)
{
	if (c->in_section == 0)
		buf_addf(&c->same, "%s%s", c->same.len ? ", " : "", c->section);
	if (c->table.n) {
		buf_addf(&c->text, "%s:\n", c->section);
		table_write(&c->text, &c->table, "  ");
	}
	table_release(&c->table);
}

/* Every key that one of them has, in a's order, then what b has more. */
static void compare_objects(struct comparison *c, const json_t *a, const json_t *b, const char *const *without)
{
	const json_t *of[2] = { a, b };
	for (int i = 0; i < 2; i++) {
		const char *key;
		json_t *value;
		json_object_foreach((json_t *)of[i], key, value) {
			bool skip = (i == 1 && json_object_get(a, key)) || json_is_object(value);
			for (size_t k = 0; without[k]; k++)
				skip |= !strcmp(without[k], key);
			if (!skip)
				compare(c, key, json_object_get(a, key), json_object_get(b, key), 0);
		}
	}
}

/* Where results lie and what is compared elsewhere. */
static const char *const not_recipe[] = { "out", "overwrite", "model", "data", "eval_data", NULL };

static void compare_files(struct comparison *c)
{
	static const char *const files[] = { "model", "data", "eval_data" };
	begin_section(c, "model and data");
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		const json_t *a = json_object_get(c->a->facts, files[i]), *b = json_object_get(c->b->facts, files[i]);
		const json_t *hash_a = json_object_get(a, "hash"), *hash_b = json_object_get(b, "hash");
		if (same_value(hash_a, hash_b) && !c->all)
			continue;
		char *name = mem_printf("%s hash", files[i]);
		compare(c, files[i], json_object_get(a, "path"), json_object_get(b, "path"), 0);
		compare(c, name, hash_a, hash_b, 0);
		mem_free(name);
	}
	end_section(c);
}

static const json_t *last_process(const struct run_log *l)
{
	const json_t *all = json_object_get(l->facts, "processes");
	return json_array_size(all) ? json_array_get(all, json_array_size(all) - 1) : NULL;
}

static void compare_machine(struct comparison *c)
{
	static const char *const names[] = { "version", "processor", "kernels", "threads" };
	begin_section(c, "version and machine");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		compare(c, names[i], json_object_get(last_process(c->a), names[i]),
		        json_object_get(last_process(c->b), names[i]), 0);
	end_section(c);
}

/* Half the width of a 95 % interval of the difference. */
static double error_of(const struct comparison *c, const char *name)
{
	char *key = mem_printf("%s_stderr", name);
	const json_t *a = run_log_result(c->a, key), *b = run_log_result(c->b, key);
	mem_free(key);
	return json_is_number(a) && json_is_number(b) ? 1.96 * hypot(json_number_value(a), json_number_value(b)) : 0;
}

static void compare_results(struct comparison *c)
{
	static const char *const not_results[] = { "status", "out", "steps", NULL };
	const json_t *a = json_object_get(c->a->facts, "results"), *b = json_object_get(c->b->facts, "results");
	const char *key;
	json_t *value;

	begin_section(c, RESULTS);
	json_t *steps[2] = { json_integer(c->a->steps), json_integer(c->b->steps) },
	       *states[2] = { json_string(c->a->state), json_string(c->b->state) };
	compare(c, "state", states[0], states[1], 0);
	compare(c, "steps", steps[0], steps[1], 0);
	json_object_foreach((json_t *)a, key, value) {
		bool error = text_stem(key, "_stderr"),
		     skip = error || json_is_object(value) || !json_object_get(b, key);
		for (size_t k = 0; not_results[k]; k++)
			skip |= !strcmp(not_results[k], key);
		if (!skip)
			compare(c, key, value, json_object_get(b, key), error_of(c, key));
	}
	for (int i = 0; i < 2; i++) {
		json_decref(steps[i]);
		json_decref(states[i]);
	}
	end_section(c);
}

/* The first step at which the losses are not the same numbers: 0 when they never differ as far as both go, −1 when
 * nothing can be compared. */
static long first_difference(const struct run_log *a, const struct run_log *b, long *last)
{
	const struct run_metric *x = run_log_metric(a, "loss"), *y = run_log_metric(b, "loss");
	size_t n = x && y ? MIN(x->n, y->n) : 0;
	*last = 0;
	for (size_t i = 0; i < n; i++) {
		if (x->step[i] != y->step[i])
			return -1;
		if (x->value[i] != y->value[i])
			return (long)x->step[i];
		*last = (long)x->step[i];
	}
	return n ? 0 : -1;
}

static void finish(struct comparison *c)
{
	long last, first = first_difference(c->a, c->b, &last);
	if (c->app->json) {
		json_t *j = json_pack("{s:o, s:o, s:I, s:o}", "a", jsonx_path(c->a->path), "b", jsonx_path(c->b->path),
		                      "differences", (json_int_t)c->differences, "first_different_step",
		                      first > 0 ? json_integer(first) : json_null());
		app_json(j);
		json_decref(j);
		return;
	}
	if (c->same.len)
		buf_addf(&c->text, "the same: %s\n", c->same.data);
	if (first > 0)
		buf_addf(&c->text, "their losses differ from step %ld on\n", first);
	else if (first == 0)
		buf_addf(&c->text, "their losses are the same numbers up to step %ld\n", last);
	app_print("%s", buf_str(&c->text));
}

static void compare_runs(const struct app *app, const struct diff *o, const struct run_log *a, const struct run_log *b)
{
	struct comparison c = { .app = app, .all = o->all, .a = a, .b = b };
	if (!app->json)
		app_print("a: %s\nb: %s\n", a->path, b->path);
	begin_section(&c, "recipe");
	compare_objects(&c, a->recipe, b->recipe, not_recipe);
	end_section(&c);
	compare_files(&c);
	compare_machine(&c);
	compare_results(&c);
	finish(&c);
	buf_release(&c.text);
	buf_release(&c.same);
}

/* Two models are run: this is metered, which looking at two runs is not. */
static int run_models(struct app *app, const struct diff *o, struct opt_parse *p, struct err *e)
{
	static const struct command metered = { .name = "diff" };

	app_catch_signals();
	if (o->all)
		return app_usage(&cmd_diff, "--all is of two runs' recipes and results");
	if (metering_begin(app, &metered, &o->common, e) < 0)
		return -1;
	return diff_behaviour(app, &o->behaviour, p->positional[0], p->positional[1], e);
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	static const char *const others[] = { "prompts", "trigger-length", "seed", "compute" };
	struct run_log a = { 0 }, b = { 0 };
	const struct diff *o = options;

	if (o->behaviour.wanted)
		return run_models(app, o, p, e);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (opt_given(p, others[i]))
			return app_usage(&cmd_diff, "--%s is --behaviour's", others[i]);
	int status = run_log_open(&a, p->positional[0], e);

	if (status == 0)
		status = run_log_open(&b, p->positional[1], e);
	if (status == 0)
		compare_runs(app, options, &a, &b);
	run_log_release(&a);
	run_log_release(&b);
	return status;
}

const struct command cmd_diff = {
	.name = "diff",
	.summary = "in what two runs differ: recipe, data, machine, results; or what is said",
	.usage = "RUN RUN|BASE RUN --behaviour",
	.example = "kungfu diff run other",
	.brief = "in what two differ",
	.order = 58,
	.looks = true,
	.opts = diff_opts,
	.options_size = sizeof(struct diff),
	.least = 2, .most = 2, .wanted = "two run directories, or a model and a run, were wanted",
	.run = run,
};
