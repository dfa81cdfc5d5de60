/* evaluate_choices: rows of query,choices,gold, or of prompt,chosen,rejected, where the chosen one is gold. Every
 * choice is a document whose learnt tokens are the choice's; all of a row share the query, which is computed once. As
 * lm-eval's multiple_choice:
 *
 *     acc       argmax Σ log p                    == gold
 *     acc_norm  argmax Σ log p / characters       == gold        (Python's len of the choice)
 *
 * Where it is asked for, acc_calibrated is that of probabilities without what the prompt itself makes of the choices
 * (calibrate.h). */
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "eval/evaluate_parts.h"

struct choices {
	const struct documents *docs;
	const double *sum;
	double *hit, *hit_norm;
	/* of gold choices: */
	const struct document **gold;
	double *gold_sum;
	size_t n;                       /* rows so far */
	/* of calibration, or NULL: */
	double *p, *prior, *hit_calibrated; /* [rows][n_choices], [n_choices] */
	size_t n_choices;
};

/* The first of the largest. */
static size_t argmax(const double *x, size_t n)
{
	size_t best = 0;
	for (size_t i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

static json_t *numbers(const double *x, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, jsonx_number(x[i]));
	return list;
}

static void put_calibrated(const struct choices *c, size_t gold, json_t *line)
{
	double *q = mem_array(c->n_choices, sizeof(*q));
	size_t best = calibrate_row(c->p + c->n * c->n_choices, c->prior, c->n_choices, q);

	c->hit_calibrated[c->n] = best == gold;
	json_object_set_new(line, "choice_calibrated", json_integer((json_int_t)best));
	json_object_set_new(line, "acc_calibrated", json_integer(best == gold));
	json_object_set_new(line, "probabilities_calibrated", numbers(q, c->n_choices));
	mem_free(q);
}

static int put_row(const struct evaluating *v, const struct choices *c, size_t first, size_t n, size_t gold,
                   size_t best, size_t best_norm, struct err *e)
{
	const struct document *d = &c->docs->items[first];
	json_t *line = evaluate_line(d), *chars = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(chars, json_integer(d[i].choice_chars));
	json_object_set_new(line, "gold", json_integer((json_int_t)gold));
	json_object_set_new(line, "choice", json_integer((json_int_t)best));
	json_object_set_new(line, "choice_norm", json_integer((json_int_t)best_norm));
	json_object_set_new(line, "acc", json_integer(best == gold));
	json_object_set_new(line, "acc_norm", json_integer(best_norm == gold));
	json_object_set_new(line, "logprobs", numbers(c->sum + first, n));
	json_object_set_new(line, "characters", chars);
	json_object_set_new(line, "tokens", json_integer(d[gold].n_learn));
	if (c->prior)
		put_calibrated(c, gold, line);
	int status = evaluate_prompt(v, &v->rows->items[c->n], line, e);
	evaluate_put(v, line);
	return status;
}

/* The row whose choices are documents first … first+n−1. */
static int judge_row(const struct evaluating *v, struct choices *c, const struct row *row, size_t first, size_t n,
                     struct err *e)
{
	const struct document *d = &c->docs->items[first];
	double *per_char = mem_array(n, sizeof(*per_char));
	size_t gold = 0;

	while (gold < n && !d[gold].gold)
		gold++;
	if (gold == n)
		BUG("%s:%zu: none of its %zu choices is gold", row->file, row->line, n);
	for (size_t i = 0; i < n; i++)
		per_char[i] = c->sum[first + i] / d[i].choice_chars;
	size_t best = argmax(c->sum + first, n), best_norm = argmax(per_char, n);
	int status = put_row(v, c, first, n, gold, best, best_norm, e);
	c->hit[c->n] = best == gold;
	c->hit_norm[c->n] = best_norm == gold;
	c->gold[c->n] = d + gold;
	c->gold_sum[c->n++] = c->sum[first + gold];
	mem_free(per_char);
	return status;
}

/* Documents come in the order of the rows, their choices in order. */
static int judge_rows(const struct evaluating *v, struct choices *c, struct err *e)
{
	size_t first = 0, end;
	int status = 0;
	for (size_t i = 0; i < v->rows->n && status == 0; i++, first = end) {
		const struct row *row = &v->rows->items[i];
		for (end = first; end < c->docs->n && c->docs->items[end].line == row->line &&
		                  !strcmp(c->docs->items[end].file, row->file);)
			end++;
		if (end == first)
			BUG("%s:%zu: a row without documents", row->file, row->line);
		status = judge_row(v, c, row, first, end - first, e);
	}
	return status;
}

/* --- calibration --- */

static const json_t *choices_of(const struct rows *r, size_t i)
{
	return json_object_get(r->items[i].json, "choices");
}

static int check_same(const struct rows *r, struct err *e)
{
	if (!choices_of(r, 0))
		return evaluate_refuse_calibrating(r, e);
	for (size_t i = 1; i < r->n; i++)
		if (!json_equal((json_t *)choices_of(r, 0), (json_t *)choices_of(r, i)))
			return err_set(e, "%s:%zu: other choices than the first row has: --calibrate wants the same of "
			                  "all", r->items[i].file, r->items[i].line);
	return 0;
}

/* c->sum goes on with what the model says where nothing is asked. */
static void calibrate(const struct evaluating *v, struct choices *c)
{
	size_t n = v->rows->n, free = v->options->content_free ? v->options->content_free->n : 0;
	enum calibration how = v->options->calibrate;

	if (how == CALIBRATE_NONE)
		return;
	c->n_choices = json_array_size(choices_of(v->rows, 0));
	c->p = mem_array((n + free) * c->n_choices, sizeof(*c->p));
	c->prior = mem_array(c->n_choices, sizeof(*c->prior));
	c->hit_calibrated = mem_array(n, sizeof(*c->hit_calibrated));
	for (size_t i = 0; i < n + free; i++)
		calibrate_softmax(c->sum + i * c->n_choices, c->n_choices, c->p + i * c->n_choices);
	if (how == CALIBRATE_CONTEXTUAL)
		calibrate_prior(c->p + n * c->n_choices, free, c->n_choices, c->prior);
	else
		calibrate_prior(c->p, n, c->n_choices, c->prior);
}

static void take_calibrated(struct evaluating *v, struct choices *c)
{
	if (!c->prior)
		return;
	v->result->acc_calibrated = estimate_proportion(c->hit_calibrated, v->rows->n);
	v->result->prior = c->prior;
	v->result->n_choices = c->n_choices;
	c->prior = NULL;
}

/* --- all rows --- */

/* more: documents of rows that ask nothing, scored with the others, whose beginnings they share. */
static int judge_all(struct evaluating *v, const struct documents *docs, const struct documents *more, struct err *e)
{
	size_t n = v->rows->n, n_items = docs->n + more->n;
	double *sum = mem_array(n_items, sizeof(*sum));
	struct document *items = mem_array(n_items, sizeof(*items));
	struct choices c = { .docs = docs,
		             .sum = sum,
		             .hit = mem_array(n, sizeof(double)),
		             .hit_norm = mem_array(n, sizeof(double)),
		             .gold = mem_array(n, sizeof(*c.gold)),
		             .gold_sum = mem_array(n, sizeof(double)) };
	struct evaluate_forecast f = { 0 };

	memcpy(items, docs->items, docs->n * sizeof(*items));
	if (more->n)
		memcpy(items + docs->n, more->items, more->n * sizeof(*items));
	int status = evaluate_planned(v, items, n_items, &f, e);
	if (status == 0)
		status = evaluate_score(v, items, n_items, sum, NULL, e);
	if (status == 0) {
		calibrate(v, &c);
		status = judge_rows(v, &c, e);
	}
	if (status == 0) {
		take_calibrated(v, &c);
		v->result->acc = estimate_proportion(c.hit, n);
		v->result->acc_norm = estimate_proportion(c.hit_norm, n);
		v->result->perplexity = evaluate_perplexity(c.gold, c.gold_sum, n);
	}
	mem_free(sum);
	mem_free(items);
	mem_free(c.hit);
	mem_free(c.hit_norm);
	mem_free(c.gold);
	mem_free(c.gold_sum);
	mem_free(c.p);
	mem_free(c.prior);
	mem_free(c.hit_calibrated);
	return status;
}

int evaluate_choices(struct evaluating *v, struct err *e)
{
	struct documents docs = { 0 }, more = { 0 };
	int status = v->options->calibrate == CALIBRATE_NONE ? 0 : check_same(v->rows, e);

	if (status == 0)
		status = evaluate_documents(v, &docs, e);
	if (status == 0 && v->options->content_free)
		status = evaluate_documents_of(v, v->options->content_free, &more, e);
	if (status == 0)
		status = judge_all(v, &docs, &more, e);
	documents_release(&docs);
	documents_release(&more);
	return status;
}
