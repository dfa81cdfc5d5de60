/* reward: which rewards there are, and their sum. See reward.h. */
#include "train/reward.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/shape.h"
#include "train/reward_command.h"
#include "train/reward_feedback.h"
#include "train/reward_model.h"

enum { REWARDS = 11 };             /* at most, of a run */

struct rewards {
	size_t n, n_rules;
	const struct reward_rule *rule[REWARDS];
	char *name[REWARDS];
	double weight[REWARDS];
	struct reward_rules *rules;
	struct reward_policy policy;
	struct reward_model *model;    /* or NULL; the one after the rules */
	struct reward_feedback *feedback; /* or NULL; the next */
	bool has_command;              /* the last */
	struct reward_command command;
};

/* --- what is asked for --- */

static const char *or_nothing(const char *s) { return s ? s : ""; }

/* The next name of a list, its length; NULL: there is none. */
static const char *next_name(const char **at, size_t *n)
{
	const char *name = *at + strspn(*at, ", ");

	*n = strcspn(name, ", ");
	*at = name + *n;
	return *n ? name : NULL;
}

static int refuse_rule(const char *name, size_t n, struct err *e)
{
	struct buf names = BUF_INIT;

	reward_rule_names(&names);
	err_set(e, "--reward %.*s: %s was wanted", (int)n, name, buf_str(&names));
	buf_release(&names);
	return -1;
}

static bool has_option(const struct reward_options *o, const char *option)
{
	return !strcmp(option, "reward-regex") ? o->regex != NULL : o->schema != NULL;
}

/* r may be NULL: only looked at. */
static int read_rules(struct rewards *r, const struct reward_options *o, size_t *count, struct err *e)
{
	const char *at = or_nothing(o->rules), *name;
	size_t n;

	for (*count = 0; (name = next_name(&at, &n)); ++*count) {
		const struct reward_rule *rule = reward_rule_find(name, n);
		if (!rule)
			return refuse_rule(name, n, e);
		if (rule->wants && !has_option(o, rule->wants))
			return err_set(e, "--reward %s wants --%s", rule->name, rule->wants);
		if (*count + 3 >= REWARDS)
			return err_set(e, "--reward names more than %d rules", REWARDS - 4);
		if (r) {
			r->rule[*count] = rule;
			r->name[*count] = mem_strdup(rule->name);
		}
	}
	return 0;
}

static int read_weights(const char *list, double *weight, size_t n, struct err *e)
{
	const char *at = or_nothing(list), *text;
	size_t k = 0, length;

	for (; (text = next_name(&at, &length)); k++) {
		char *end;
		double x = strtod(text, &end);
		if (end != text + length || !isfinite(x))
			return err_set(e, "--reward-weights: '%.*s' is no number", (int)length, text);
		if (k < n)
			weight[k] = x;
	}
	if (k && k != n)
		return err_set(e, "--reward-weights has %zu numbers for %zu rewards", k, n);
	for (; k < n; k++)
		weight[k] = 1;
	return 0;
}

int reward_check(const struct reward_options *o, struct err *e)
{
	double weight[REWARDS];
	const char *why = reward_form_contradiction(o->model, o->template_);
	bool counts = false;
	size_t n;

	if (why)
		return err_set(e, "%s", why);
	if (read_rules(NULL, o, &n, e) < 0)
		return -1;
	n += (o->model != NULL) + (o->feedback != NULL) + (o->command != NULL);
	if (!n)
		return err_set(e, "nothing says what an answer is worth: --reward RULE, --reward-model, "
		                  "--reward-feedback or --reward-command was wanted");
	if (read_weights(o->weights, weight, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		counts |= weight[i] != 0;
	return counts ? 0 : err_set(e, "--reward-weights are all 0: there is nothing to learn");
}

int rewards_open(struct rewards **out, const struct reward_options *o, const struct reward_policy *policy,
                 struct err *e)
{
	struct rewards *r = mem_alloc(sizeof(*r));

	*out = r;
	*r = (struct rewards){ .policy = *policy };
	if (read_rules(r, o, &r->n_rules, e) < 0 || reward_rules_open(&r->rules, o, e) < 0)
		return -1;
	r->n = r->n_rules;
	if (o->model) {
		r->name[r->n++] = mem_strdup("model");
		if (reward_model_open(&r->model, o, policy->device, e) < 0)
			return -1;
	}
	if (o->feedback) {
		r->name[r->n++] = mem_strdup("feedback");
		if (reward_feedback_open(&r->feedback, o->feedback, &r->policy, e) < 0)
			return -1;
	}
	if (o->command) {
		r->name[r->n++] = mem_strdup("command");
		r->has_command = true;
		r->command = (struct reward_command){ .command = o->command, .kept = true, .seconds = o->timeout,
			                              .memory = o->memory };
	}
	return read_weights(o->weights, r->weight, r->n, e);
}

void rewards_close(struct rewards *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		mem_free(r->name[i]);
	reward_rules_close(r->rules);
	reward_model_close(r->model);
	reward_feedback_close(r->feedback);
	reward_command_end(&r->command);
	mem_free(r);
}

size_t rewards_bytes(const struct rewards *r)
{
	return (r->model ? reward_model_bytes(r->model) : 0) + (r->feedback ? reward_feedback_bytes(r->feedback) : 0);
}

size_t rewards_n(const struct rewards *r) { return r->n; }
const char *rewards_name(const struct rewards *r, size_t i) { return r->name[i]; }
double rewards_weight(const struct rewards *r, size_t i) { return r->weight[i]; }

double rewards_sum(const struct rewards *r, double *const *by, size_t k)
{
	double sum = 0;

	for (size_t i = 0; i < r->n; i++)
		sum += r->weight[i] * by[i][k];
	return sum;
}

int rewards_fit(const struct rewards *r, const struct rows *rows, struct err *e)
{
	const char *wants = NULL;
	char room[32];

	for (size_t i = 0; i < r->n_rules; i++)
		if (r->rule[i]->right)
			wants = r->rule[i]->name;
	for (size_t i = 0; wants && i < rows->n; i++)
		if (!reward_right(rows->items[i].json, room))
			return err_set(e, "%s:%zu: the row has no answer, ground_truth or solution, which --reward %s "
			                  "compares with", rows->items[i].file, rows->items[i].line, wants);
	return 0;
}

/* --- judging --- */

static void by_rule(const struct rewards *r, size_t i, const struct reward_case *c, size_t n, double *out)
{
	char room[32];

	for (size_t k = 0; k < n; k++) {
		const char *right = r->rule[i]->right ? reward_right(c[k].row->json, room) : NULL;
		out[k] = r->rule[i]->of(r->rules, &c[k], right);
	}
}

/* The row's own columns, what was asked as "prompt", the answer, and what would be right as "wanted". */
static void add_line(struct buf *out, const struct reward_case *c)
{
	json_t *j = json_copy(c->row->json);
	char room[32];
	const char *right = reward_right(c->row->json, room);

	json_object_set_new(j, "answer", jsonx_text(c->text, strlen(c->text)));
	json_object_set_new(j, "ended", json_boolean(c->ended));
	if (right)
		json_object_set_new(j, "wanted", jsonx_text(right, strlen(right)));
	char *line = jsonx_line(j);
	buf_adds(out, line);
	buf_addc(out, '\n');
	mem_free(line);
	json_decref(j);
}

static int by_command(struct rewards *r, const struct reward_case *c, size_t n, double *out, struct err *e)
{
	struct buf lines = BUF_INIT;

	for (size_t k = 0; k < n; k++)
		add_line(&lines, &c[k]);
	int status = reward_command_ask(&r->command, buf_str(&lines), lines.len, n, out, e);
	buf_release(&lines);
	return status;
}

/* What a row asks, as the text of one turn. */
static char *asked_text(const json_t *row)
{
	const json_t *prompt = json_object_get(row, "prompt");
	struct buf text = BUF_INIT;

	if (json_is_string(prompt))
		buf_add(&text, json_string_value(prompt), json_string_length(prompt));
	for (size_t i = 0; i < json_array_size(prompt); i++) {
		const json_t *said = json_object_get(json_array_get(prompt, i), "content");
		if (json_is_string(said))
			buf_addf(&text, "%s%s", text.len ? "\n" : "", json_string_value(said));
	}
	char *out = mem_strdup(buf_str(&text));
	buf_release(&text);
	return out;
}

static int by_model(struct rewards *r, const struct reward_case *c, size_t n, double *out, struct err *e)
{
	const char **texts = mem_array(2 * n + 1, sizeof(*texts));

	for (size_t k = 0; k < n; k++) {
		texts[k] = asked_text(c[k].row->json);
		texts[n + k] = c[k].text;
	}
	int status = reward_read(reward_model_reader(r->model), texts, texts + n, n, NULL, out, e);
	for (size_t k = 0; k < n; k++)
		mem_free((void *)(uintptr_t)texts[k]);
	mem_free(texts);
	return status < 0 ? err_prefix(e, "--reward-model") : 0;
}

int rewards_judge(struct rewards *r, const struct reward_case *c, size_t n, double *const *out, struct err *e)
{
	for (size_t i = 0; i < r->n_rules; i++)
		by_rule(r, i, c, n, out[i]);
	if (r->model && by_model(r, c, n, out[r->n_rules], e) < 0)
		return -1;
	if (r->feedback && reward_feedback_judge(r->feedback, c, n, out[r->n_rules + (r->model != NULL)], e) < 0)
		return -1;
	return r->has_command ? by_command(r, c, n, out[r->n - 1], e) : 0;
}
