/* study: the file, the trials' recipes and their rows. See study.h. */
#include "cmd/search/study.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "eval/statistics.h"
#include "train/method.h"
#include "train/optimizer.h"

/* --- recipes --- */

static void take_path(const struct study *s, const char *name, const char **field)
{
	const char *path = json_string_value(json_object_get(s->paths, name));

	if (path)
		*field = path;
}

static int parse_words(struct study_options *h, const struct study *s, struct err *e)
{
	size_t n = json_array_size(s->argv);
	char **words = mem_array(n + 1, sizeof(*words));

	for (size_t i = 0; i < n; i++)
		words[i] = (char *)json_string_value(json_array_get(s->argv, i));
	int status = opt_args(&h->parse, (int)n, words, e);
	mem_free(words);
	return status;
}

int study_options(struct study_options *h, const struct study *s, struct err *e)
{
	*h = (struct study_options){ 0 };
	opt_begin(&h->parse, search_opts, &h->o, e);
	if (parse_words(h, s, e) < 0) {
		opt_release(&h->parse);
		return -1;
	}
	take_path(s, "model", &h->o.recipe.model);
	take_path(s, "data", &h->o.recipe.data);
	take_path(s, "eval-data", &h->o.recipe.eval_data);
	take_path(s, "test-data", &h->o.test_data);
	take_path(s, "retain", &h->o.recipe.retain);
	take_path(s, "replay", &h->o.recipe.replay);
	return 0;
}

char *study_trial_dir(const struct study *s, size_t trial)
{
	return mem_printf("%s/trials/%04zu", s->dir, trial + 1);
}

/* The rate of the method that the parse has by now, as recipe_resolve takes it. */
static double method_scale(const struct recipe *r)
{
	return recipe_method_rate(r) * optimizer_find(r->optim)->rate * objective_find(r->objective)->rate;
}

/* Gives a trial's parameters to its parse in their order; with p they get their places. */
static int assign_places(struct study_options *h, const struct study *s, size_t trial, const struct proposer *p,
                         uint32_t attempt, json_t *values, struct err *e)
{
	struct study_trial *t = &s->trials[trial];
	char text[32];

	for (size_t i = 0; i < s->space.n; i++) {
		const struct space_param *param = &s->space.param[i];
		if (p)
			t->at[i] = space_is_active(&s->space, i, &h->parse) ? propose(p, i, trial, attempt) :
			                                                      (struct space_place){ 0 };
		if (!t->at[i].active)
			continue;
		const char *value = space_text(param, &t->at[i], method_scale(&h->o.recipe), text);
		if (values)
			json_object_set_new(values, param->name, json_string(value));
		if (opt_assign(&h->parse, param->name, value, e) < 0)
			return -1;
	}
	return 0;
}

/* What a trial does otherwise than tune unless it was said: it evaluates where it is looked at and at its end, the
 * first one at its start too, measures no forgetting, and keeps no more checkpoints than it must. */
static void settle_trial(struct study_options *h, size_t trial)
{
	struct recipe *r = &h->o.recipe;

	if (!opt_given(&h->parse, "forgetting"))
		r->forgetting = false;
	if (!opt_given(&h->parse, "eval-steps"))
		r->eval_steps = 0;
	if (!opt_given(&h->parse, "eval-on-start"))
		r->eval_on_start = trial == 0;
	if (!opt_given(&h->parse, "save-total-limit"))
		r->save_total_limit = 1;
	r->overwrite = false;
}

static void proposer_of(const struct study *s, struct proposer *p, struct propose_seen *seen)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct study_trial *t = &s->trials[i];
		int level = study_level(s, t);
		double value = level < 0 || t->standing.failed ? NAN : t->score[level].value;
		seen[i] = (struct propose_seen){ t->at, value, level };
	}
	*p = (struct proposer){ s->by, (uint64_t)s->o.recipe.seed, &s->space, seen, s->n };
}

/* Places for a trial that begins; those of an earlier one are drawn again. 1: none are left, as far as can be seen. */
static int find_places(struct study *s, struct err *e)
{
	enum { ATTEMPTS = 200 };
	struct propose_seen *seen = mem_array(s->n + 1, sizeof(*seen));
	struct proposer p;
	int status = 0;
	bool old = true;

	proposer_of(s, &p, seen);
	for (uint32_t i = 0; old && !status && i < ATTEMPTS; i++) {
		struct study_options h;
		status = study_options(&h, s, e);
		if (status)
			break;
		status = assign_places(&h, s, s->n, &p, i, NULL, e);
		old = propose_is_old(&p, s->trials[s->n].at);
		opt_release(&h.parse);
	}
	mem_free(seen);
	return status ? -1 : old;
}

int study_begin(struct study *s, int first, struct err *e)
{
	s->trials = mem_grow(s->trials, s->n + 1, sizeof(*s->trials));
	struct study_trial *t = &s->trials[s->n];
	*t = (struct study_trial){ .standing = { .first = first, .reached = first }, .busy = true };
	t->at = arena_array(&s->mem, s->space.n + 1, sizeof(*t->at));
	gas_none(&t->gas);
	int status = find_places(s, e);
	if (!status)
		s->n++;
	return status;
}

int study_recipe(struct study_options *h, struct study *s, size_t trial, struct err *e)
{
	if (study_options(h, s, e) < 0)
		return -1;
	char *dir = study_trial_dir(s, trial), *rows = mem_printf("%s/rows/selection.jsonl", s->dir);
	int status = assign_places(h, s, trial, NULL, 0, NULL, e);
	struct recipe *r = &h->o.recipe;
	r->out = arena_strdup(&s->mem, dir);
	r->eval_data = arena_strdup(&s->mem, rows);
	settle_trial(h, trial);
	mem_free(dir);
	mem_free(rows);
	if (!status && !(status = recipe_resolve(r, e)))
		recipe_settle(r, s->app->kernels);
	if (status)
		opt_release(&h->parse);
	return status;
}

json_t *study_values(const struct study *s, size_t trial)
{
	struct study_options h;
	struct err ignored = ERR_INIT;
	json_t *values = json_object();

	if (study_options(&h, s, &ignored) == 0) {
		assign_places(&h, s, trial, NULL, 0, values, &ignored);
		opt_release(&h.parse);
	}
	return values;
}

/* --- the space --- */

static const char *const fixed_options[] = { "out",         "overwrite", "eval-data", "eval-steps", "memory",
	                                     "report-to",   "tensorboard", "save-steps", "logging-steps",
	                                     "save-total-limit", "eval-on-start", NULL };

/* Of the usual space, the lines of options that nobody gave. */
static const struct { const char *name, *line; } usual[] = {
	{ "method", "method: [lora, loha, miss, ia3, full]\n" },
	{ "lora-r", "lora_r: [4, 8, 16, 32]\n" },
	{ "learning-rate", "learning_rate: {min: 0.1, max: 10, log: true, scale: method}\n" },
	{ "target-modules", "target_modules:\n  choices: [all-linear, '.*\\.(q_proj|v_proj|query|value|q_lin|v_lin|"
	                    "c_attn|qkv_proj|query_key_value|Wqkv)']\n  when: {method: [lora, loha, miss]}\n" },
	{ "num-train-epochs", "num_train_epochs: [1, 2, 3]\n" },
};

char *study_usual_space(const struct opt_parse *p)
{
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < ARRAY_LEN(usual); i++)
		if (!opt_given(p, usual[i].name) &&
		    !(!strcmp(usual[i].name, "num-train-epochs") && opt_given(p, "max-steps")))
			buf_adds(&text, usual[i].line);
	return buf_detach(&text, NULL);
}

int study_space(struct study *s, const char *text, const char *where, struct err *e)
{
	struct recipe scratch;
	struct opt_parse p;

	opt_begin(&p, recipe_opts, &scratch, e);
	int status = space_read(&s->space, text, strlen(text), where, &p, fixed_options, e);
	opt_release(&p);
	if (!status && opt_given(&s->parse, "max-steps") && space_find(&s->space, "num-train-epochs"))
		status = err_set(e, "%s: num_train_epochs says nothing where --max-steps is given", where);
	return status;
}

/* --- rows --- */

static char *rows_path(const struct study *s, size_t trial, int rung)
{
	return mem_printf("%s/rows/%04zu-%d.json", s->dir, trial + 1, rung);
}

int study_put_rows(const struct study *s, size_t trial, int rung, const struct eval_row *rows, size_t n, struct err *e)
{
	json_t *loss = json_array(), *weight = json_array(), *hit = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(loss, jsonx_number(rows[i].loss));
		json_array_append_new(weight, jsonx_number(rows[i].weight));
		json_array_append_new(hit, jsonx_number(rows[i].hit));
	}
	json_t *j = json_pack("{s:o, s:o, s:o}", "loss", loss, "weight", weight, "hit", hit);
	char *path = rows_path(s, trial, rung), *line = jsonx_line(j);
	int status = io_write(path, line, strlen(line), e);
	mem_free(path);
	mem_free(line);
	json_decref(j);
	return status;
}

static double *numbers(const json_t *list, size_t n)
{
	double *x = mem_array(n + 1, sizeof(*x));

	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);
		x[i] = json_is_number(v) ? json_number_value(v) : NAN;
	}
	return x;
}

int study_get_rows(const struct study *s, size_t trial, int rung, struct study_rows *out, struct err *e)
{
	char *path = rows_path(s, trial, rung);
	json_t *j = jsonx_load_file(path, e);

	*out = (struct study_rows){ .n = json_array_size(json_object_get(j, "loss")) };
	out->loss = numbers(json_object_get(j, "loss"), out->n);
	out->weight = numbers(json_object_get(j, "weight"), out->n);
	out->hit = numbers(json_object_get(j, "hit"), out->n);
	mem_free(path);
	json_decref(j);
	return j ? 0 : -1;
}

void study_rows_release(struct study_rows *r)
{
	mem_free(r->loss);
	mem_free(r->weight);
	mem_free(r->hit);
}

struct paired study_compare(const struct study *s, size_t trial, size_t other, int rung)
{
	struct study_rows a = { 0 }, b = { 0 };
	struct err ignored = ERR_INIT;
	struct paired d = { NAN, NAN, NAN, NAN, 0 };
	bool both = study_get_rows(s, other, rung, &a, &ignored) == 0 &&
	            study_get_rows(s, trial, rung, &b, &ignored) == 0;

	for (size_t i = 0; both && i < a.n && s->hits; i++)
		a.weight[i] = 1;
	if (both && a.n == b.n)
		d = paired_compare(s->hits ? a.hit : a.loss, s->hits ? b.hit : b.loss, a.weight, a.n);
	study_rows_release(&a);
	study_rows_release(&b);
	return d;
}

/* Of hits equal shares are told apart by the loss, which moves no share. */
struct study_score study_score(struct study *s, const struct eval_row *rows, size_t n, double eval_loss, long step)
{
	double *x = mem_array(n + 1, sizeof(*x)), *w = mem_array(n + 1, sizeof(*w));
	struct study_score c = { .eval_loss = eval_loss, .n = n, .step = step };
	bool can = n && !isnan(rows[0].hit);

	if (s->hits < 0)
		s->hits = can && strcmp(s->o.metric, "eval_loss") != 0;
	for (size_t i = 0; i < n; i++) {
		x[i] = s->hits ? rows[i].hit : rows[i].loss;
		w[i] = s->hits ? 1 : rows[i].weight;
	}
	struct paired p = paired_mean(x, w, n);
	struct estimate share = estimate_proportion(x, n);
	c.mean = p.difference;
	c.stderr_ = p.stderr_;
	c.low = s->hits ? share.low : p.low;
	c.high = s->hits ? share.high : p.high;
	c.value = s->hits ? 1 - c.mean + 1e-9 * eval_loss / (1 + fabs(eval_loss)) : c.mean;
	mem_free(x);
	mem_free(w);
	return c;
}

int study_level(const struct study *s, const struct study_trial *t)
{
	(void)s;
	return t->standing.reached > t->standing.first ? t->standing.reached - 1 : -1;
}

long study_best(const struct study *s)
{
	long best = -1;

	for (size_t i = 0; i < s->n; i++) {
		const struct study_trial *t = &s->trials[i], *b = best < 0 ? NULL : &s->trials[best];
		int level = study_level(s, t), than = b ? study_level(s, b) : -1;
		if (t->standing.failed || level < 0)
			continue;
		if (level > than || (level == than && t->score[level].value < b->score[than].value))
			best = (long)i;
	}
	return best;
}

bool study_is(const char *dir)
{
	char *path = io_join(dir, "study.json");
	bool is = io_exists(path);

	mem_free(path);
	return is;
}

void study_release(struct study *s)
{
	for (size_t i = 0; i < s->n; i++)
		mem_free(s->trials[i].error);
	mem_free(s->trials);
	space_release(&s->space);
	opt_release(&s->parse);
	json_decref(s->argv);
	json_decref(s->paths);
	json_decref(s->decisions);
	json_decref(s->base);
	json_decref(s->test);
	json_decref(s->processes);
	mem_free(s->space_text);
	mem_free(s->dir);
	if (s->lock)
		io_unlock(s->lock);
	arena_release(&s->mem);
}
