/* evaluate_rewards: pairs and ranked answers by a model with one output (train/objective_reward.c): how often the
 * better answer has the larger reward, by subset too; and whether that is more than the length of answers tells,
 * which people prefer on many sets and which a reward model learns before anything else. The length-only rule is
 * given the better of its two directions on these rows, so what is above it is told with less than its due. */
#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/logistic.h"
#include "base/mem.h"
#include "eval/evaluate_parts.h"
#include "model/labels.h"

struct judging {
	struct evaluating *v;
	const struct documents *docs;
	float *reward;                  /* [docs] */
	size_t n, pairs;                /* rows, all pairs */
	double *accuracy, *length, *loss, *margin; /* [rows] */
	size_t *subset;                 /* [rows] */
};

bool evaluate_is_pairs(const struct shape *s)
{
	static const char *const roles[] = { "chosen", "rejected", NULL };

	return s->ranked || shape_has_roles(s, roles);
}

/* --- subsets --- */

/* The usual columns, where the first row has one. */
static int find_column(const struct evaluating *v, struct reward_scores *s, struct err *e)
{
	static const char *const usual[] = { "subset", "category" };
	const json_t *first = v->rows->items[0].json;
	bool has = false;

	for (size_t i = 0; i < ARRAY_LEN(usual) && !s->by && !v->options->group_by; i++)
		if (!column_is_empty(json_object_get(first, usual[i])))
			s->by = usual[i];
	if (!v->options->group_by)
		return 0;
	for (size_t i = 0; i < v->rows->n && !has; i++)
		has = !column_is_empty(json_object_get(v->rows->items[i].json, v->options->group_by));
	s->by = arena_strdup(&s->mem, v->options->group_by);
	return has ? 0 : err_set(e, "%s: no row has a column %.80s, which --group-by names", v->rows->items[0].file,
	                         v->options->group_by);
}

/* The number of the row's subset, which is added where it is new. */
static size_t subset_of(struct reward_scores *s, const json_t *row)
{
	const json_t *said = json_object_get(row, s->by);
	char *line = json_is_string(said) || column_is_empty(said) ? NULL : jsonx_line(said);
	const char *name = line ? line : column_is_empty(said) ? "(none)" : json_string_value(said);
	size_t i = 0;

	while (i < s->n_subsets && strcmp(s->subsets[i].name, name) != 0)
		i++;
	if (i == s->n_subsets)
		s->subsets[s->n_subsets++].name = arena_strdup(&s->mem, name);
	mem_free(line);
	return i;
}

static void score_subsets(const struct judging *j, struct reward_scores *s)
{
	double *hit = mem_array(j->n, sizeof(*hit)), *length = mem_array(j->n, sizeof(*length));

	for (size_t k = 0; k < s->n_subsets; k++) {
		size_t n = 0;
		for (size_t i = 0; i < j->n; i++)
			if (j->subset[i] == k) {
				hit[n] = j->accuracy[i];
				length[n++] = j->length[i];
			}
		s->subsets[k].accuracy = j->pairs == j->n ? estimate_proportion(hit, n) : estimate_mean(hit, n);
		s->subsets[k].length = estimate_mean(length, n);
	}
	mem_free(hit);
	mem_free(length);
}

/* --- rows --- */

static void put_row(const struct judging *j, size_t first, size_t n)
{
	const struct document *d = &j->docs->items[first];
	json_t *line = evaluate_line(d), *rewards = json_array(), *scores = json_array(), *chars = json_array();

	for (size_t i = 0; i < n; i++) {
		json_array_append_new(rewards, jsonx_number((double)j->reward[first + i]));
		json_array_append_new(scores, jsonx_number(d[i].score));
		json_array_append_new(chars, json_integer(d[i].choice_chars));
	}
	json_object_set_new(line, "accuracy", jsonx_number(j->accuracy[j->n]));
	json_object_set_new(line, "rewards", rewards);
	json_object_set_new(line, "scores", scores);
	json_object_set_new(line, "characters", chars);
	evaluate_put(j->v, line);
}

/* All pairs of the answers first … first + n − 1. */
static void judge_row(struct judging *j, struct reward_scores *s, size_t first, size_t n)
{
	const struct document *d = &j->docs->items[first];
	const float *r = j->reward + first;
	double hits = 0, longer = 0, loss = 0, margin = 0, pairs = 0;

	for (size_t c = 0; c < n; c++)
		for (size_t k = 0; k < n; k++) {
			double x = (double)r[c] - (double)r[k];
			if (!(d[c].score > d[k].score))
				continue;
			pairs++;
			hits += x > 0;
			s->ties += x == 0;
			loss += softplus(-x);
			margin += x;
			longer += d[c].choice_chars > d[k].choice_chars  ? 1 :
			          d[c].choice_chars == d[k].choice_chars ? 0.5 : 0;
		}
	j->pairs += (size_t)pairs;
	j->accuracy[j->n] = hits / pairs;
	j->length[j->n] = longer / pairs;
	j->loss[j->n] = loss / pairs;
	j->margin[j->n] = margin / pairs;
	put_row(j, first, n);
	j->n++;
}

static bool is_of(const struct document *d, const struct row *r)
{
	return d->line == r->line && !strcmp(d->file, r->file);
}

/* A row without a better answer has no documents. */
static void judge_rows(struct judging *j, struct reward_scores *s)
{
	size_t first = 0, end;

	for (size_t i = 0; i < j->v->rows->n; i++, first = end) {
		const struct row *row = &j->v->rows->items[i];
		for (end = first; end < j->docs->n && is_of(&j->docs->items[end], row);)
			end++;
		if (end == first)
			continue;
		j->subset[j->n] = s->by ? subset_of(s, row->json) : 0;
		judge_row(j, s, first, end - first);
	}
}

/* --- all of them --- */

static void score_lengths(const struct judging *j, struct reward_scores *s)
{
	size_t n = j->docs->n;
	double *chars = mem_array(n, sizeof(*chars)), *reward = mem_array(n, sizeof(*reward));
	double *above = mem_array(j->n, sizeof(*above));
	struct label_scores numbers;

	for (size_t i = 0; i < n; i++) {
		chars[i] = j->docs->items[i].choice_chars;
		reward[i] = (double)j->reward[i];
	}
	label_scores_numbers(&numbers, chars, reward, n);
	s->pearson = numbers.pearson;
	s->spearman = numbers.spearman;
	label_scores_release(&numbers);
	s->reward = estimate_mean(reward, n);
	s->length = estimate_mean(j->length, j->n);
	for (size_t i = 0; i < j->n; i++)
		above[i] = j->accuracy[i] - (s->length.mean >= 0.5 ? j->length[i] : 1 - j->length[i]);
	s->above_length = estimate_mean(above, j->n);
	mem_free(chars);
	mem_free(reward);
	mem_free(above);
}

static void score(const struct judging *j, struct reward_scores *s)
{
	s->rows = j->n;
	s->pairs = j->pairs;
	/* a row of one pair is right or wrong */
	s->accuracy = j->pairs == j->n ? estimate_proportion(j->accuracy, j->n) : estimate_mean(j->accuracy, j->n);
	s->loss = estimate_mean(j->loss, j->n);
	s->margin = estimate_mean(j->margin, j->n);
	s->min_reward = s->max_reward = (double)j->reward[0];
	for (size_t i = 1; i < j->docs->n; i++) {
		s->min_reward = fmin(s->min_reward, (double)j->reward[i]);
		s->max_reward = fmax(s->max_reward, (double)j->reward[i]);
	}
	score_lengths(j, s);
	score_subsets(j, s);
}

static int judge_documents(struct evaluating *v, const struct documents *d, struct reward_scores *s, struct err *e)
{
	size_t n = v->rows->n;
	struct arena mem = ARENA_INIT;
	struct judging j = { .v = v,
		             .docs = d,
		             .reward = arena_array(&mem, d->n, sizeof(float)),
		             .accuracy = arena_array(&mem, n, sizeof(double)),
		             .length = arena_array(&mem, n, sizeof(double)),
		             .loss = arena_array(&mem, n, sizeof(double)),
		             .margin = arena_array(&mem, n, sizeof(double)),
		             .subset = arena_array(&mem, n, sizeof(size_t)) };
	int status = evaluate_outputs(v, d, j.reward, e);

	if (status == 0) {
		s->subsets = arena_array(&s->mem, n, sizeof(*s->subsets));
		judge_rows(&j, s);
		score(&j, s);
	}
	arena_release(&mem);
	return status;
}

int evaluate_rewards(struct evaluating *v, struct err *e)
{
	struct documents docs = { 0 };
	struct reward_scores *s = &v->result->rewards;
	const struct labels *l = v->subject->model->labels;

	if (l->n != 1)
		return err_set(e, "%s: rows of %s; %s has a head of %d labels, and a reward model has one",
		               v->rows->items[0].file, shape_name(v->rows->shape), v->subject->model->source.path,
		               l->n);
	if (find_column(v, s, e) < 0)
		return -1;
	int status = evaluate_documents(v, &docs, e);
	s->tied_rows = docs.n_tied;
	if (status == 0 && !docs.n)
		status = err_set(e, "%s: in none of its %zu rows an answer is better than another: there is nothing to "
		                    "judge", v->rows->items[0].file, v->rows->n);
	if (status == 0)
		status = judge_documents(v, &docs, s, e);
	documents_release(&docs);
	return status;
}
