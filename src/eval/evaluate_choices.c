/* evaluate_choices: rows of query,choices,gold, or of prompt,chosen,rejected, where the chosen one is gold. Every
 * choice is a document whose learnt tokens are the choice's; all of a row share the query, which is computed once. As
 * lm-eval's multiple_choice:
 *
 *     acc       argmax Σ log p                    == gold
 *     acc_norm  argmax Σ log p / characters       == gold        (Python's len of the choice) */
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

static void put_row(const struct evaluating *v, const struct choices *c, size_t first, size_t n, size_t gold,
                    size_t best, size_t best_norm)
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
	evaluate_put(v, line);
}

/* The row whose choices are documents first … first+n−1. */
static void judge_row(const struct evaluating *v, struct choices *c, const struct row *row, size_t first, size_t n)
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
	put_row(v, c, first, n, gold, best, best_norm);
	c->hit[c->n] = best == gold;
	c->hit_norm[c->n] = best_norm == gold;
	c->gold[c->n] = d + gold;
	c->gold_sum[c->n++] = c->sum[first + gold];
	mem_free(per_char);
}

/* Documents come in the order of the rows, their choices in order. */
static void judge_rows(const struct evaluating *v, struct choices *c)
{
	size_t first = 0, end;
	for (size_t i = 0; i < v->rows->n; i++, first = end) {
		const struct row *row = &v->rows->items[i];
		for (end = first; end < c->docs->n && c->docs->items[end].line == row->line &&
		                  !strcmp(c->docs->items[end].file, row->file);)
			end++;
		if (end == first)
			BUG("%s:%zu: a row without documents", row->file, row->line);
		judge_row(v, c, row, first, end - first);
	}
}

static int judge_all(struct evaluating *v, const struct documents *docs, struct err *e)
{
	size_t n = v->rows->n;
	double *sum = mem_array(docs->n, sizeof(*sum));
	struct choices c = { .docs = docs,
		             .sum = sum,
		             .hit = mem_array(n, sizeof(double)),
		             .hit_norm = mem_array(n, sizeof(double)),
		             .gold = mem_array(n, sizeof(*c.gold)),
		             .gold_sum = mem_array(n, sizeof(double)) };
	struct evaluate_forecast f = { 0 };
	int status = evaluate_planned(v, docs->items, docs->n, &f, e);

	if (status == 0)
		status = evaluate_score(v, docs->items, docs->n, sum, NULL, e);
	if (status == 0) {
		judge_rows(v, &c);
		v->result->acc = estimate_proportion(c.hit, n);
		v->result->acc_norm = estimate_proportion(c.hit_norm, n);
		v->result->perplexity = evaluate_perplexity(c.gold, c.gold_sum, n);
	}
	mem_free(sum);
	mem_free(c.hit);
	mem_free(c.hit_norm);
	mem_free(c.gold);
	mem_free(c.gold_sum);
	return status;
}

int evaluate_choices(struct evaluating *v, struct err *e)
{
	struct documents docs = { 0 };
	int status = evaluate_documents(v, &docs, e);

	if (status == 0)
		status = judge_all(v, &docs, e);
	documents_release(&docs);
	return status;
}
