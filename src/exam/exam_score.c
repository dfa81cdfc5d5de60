/* exam_score: replies become filtered answers, those become what is measured of every sample, and that is added up;
 * then groups: the mean of their tasks' scores, weighted by rows (or, weight_by_size: false, not), with lm-eval's
  * pooled error
 *
 *     √( Σ (n_t − 1)·s_t²·n_t / (Σ n_t − T) / Σ n_t )      not weighted: √( Σ s_t² ) / T
 */
#include <math.h>
#include <string.h>

#include "exam/exam_parts.h"

/* [[logprob, greedy], …] of a row's requests, or [logprob], or [answer]. */
static json_t *answers_of(const struct exam *t, const struct exam_request *q, size_t n, json_t *filtered)
{
	json_t *list = json_array();

	if (filtered) {
		json_array_append(list, filtered);
		return list;
	}
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, t->output == EXAM_ROLLING ?
		                                    json_real(q[i].logprob) :
		                                    json_pack("[f, b]", q[i].logprob, (int)q[i].greedy));
	return list;
}

static int score_row(struct exam_scores *s, size_t f, const struct exam_request *q, size_t n, struct err *e)
{
	const struct exam *t = s->asked->task;
	const json_t *doc = json_array_get(t->docs, q->doc);
	json_t *filtered = NULL;
	bool fell_back = false;

	if (t->output == EXAM_GENERATE) {
		filtered = exam_filter_apply(t->filter[f], doc, q->answers, &fell_back, e);
		if (!filtered)
			return err_prefix(e, "%.80s: row %zu", t->name, q->doc + 1);
	}
	s->filtered[f][q->doc] = filtered;
	s->fell_back[f] += fell_back;
	json_t *answers = answers_of(t, q, n, filtered);
	s->metrics[f][q->doc] = exam_measure(t, q->doc, doc, answers, e);
	json_decref(answers);
	return s->metrics[f][q->doc] ? 0 : err_prefix(e, "%.80s: row %zu", t->name, q->doc + 1);
}

static void count_replies(struct exam_scores *s)
{
	const struct exam_asked *a = s->asked;

	for (size_t i = 0; i < a->n; i++) {
		s->n_answers += json_array_size(a->items[i].answers);
		s->n_cut += a->items[i].n_cut;
		s->n_left_out += a->items[i].left_out > 0;
	}
}

static int add_up(struct exam_scores *s, size_t f, struct err *e)
{
	const struct exam *t = s->asked->task;

	for (size_t m = 0; m < t->n_metrics; m++) {
		json_t *values = json_array();
		for (size_t i = 0; i < s->asked->n_docs; i++) {
			json_t *v = json_object_get(s->metrics[f][i], t->metric[m].name);
			if (v)
				json_array_append(values, v);
		}
		struct exam_score *out = &s->items[s->n];
		int status = json_array_size(values) ? exam_aggregate(&t->metric[m], values, out, e) : 0;
		s->n += json_array_size(values) > 0;
		out->filter = exam_filter_name(t->filter[f]);
		json_decref(values);
		if (status < 0)
			return err_prefix(e, "%.80s", t->name);
	}
	return 0;
}

int exam_score(const struct exam_asked *a, struct exam_scores *s, struct err *e)
{
	const struct exam *t = a->task;
	int status = 0;

	*s = (struct exam_scores){ .asked = a, .n_filters = t->n_filters };
	s->items = arena_array(&s->mem, t->n_filters * t->n_metrics, sizeof(*s->items));
	s->metrics = arena_array(&s->mem, t->n_filters, sizeof(json_t **));
	s->filtered = arena_array(&s->mem, t->n_filters, sizeof(json_t **));
	s->fell_back = arena_array(&s->mem, t->n_filters, sizeof(*s->fell_back));
	for (size_t f = 0; f < t->n_filters; f++) {
		s->metrics[f] = arena_array(&s->mem, a->n_docs, sizeof(json_t *));
		s->filtered[f] = arena_array(&s->mem, a->n_docs, sizeof(json_t *));
	}
	for (size_t f = 0; f < t->n_filters && status == 0; f++) {
		for (size_t i = 0, end; i < a->n && status == 0; i = end) {
			for (end = i; end < a->n && a->items[end].doc == a->items[i].doc; end++)
				;
			status = score_row(s, f, &a->items[i], end - i, e);
		}
		if (status == 0)
			status = add_up(s, f, e);
	}
	count_replies(s);
	if (status < 0)
		exam_scores_release(s);
	return status;
}

void exam_scores_release(struct exam_scores *s)
{
	for (size_t f = 0; f < s->n_filters; f++)
		for (size_t i = 0; i < s->asked->n_docs; i++) {
			json_decref(s->metrics[f][i]);
			json_decref(s->filtered[f][i]);
		}
	arena_release(&s->mem);
	*s = (struct exam_scores){ 0 };
}

/* --- groups --- */

/* Its tasks, those of its groups too: marks them. */
static void mark(const struct exams *t, const struct exam_group *g, bool *in, int depth)
{
	for (size_t c = 0; c < g->n_children && depth < 16; c++) {
		for (size_t i = 0; i < t->n; i++)
			in[i] |= !strcmp(t->items[i].name, g->child[c]);
		for (size_t i = 0; i < t->n_groups; i++)
			if (!strcmp(t->groups[i].name, g->child[c]))
				mark(t, &t->groups[i], in, depth + 1);
	}
}

/* Sums over tasks of one metric by one filter. */
struct sums { double value, weight, rows, tasks, pooled, squares, has_error; bool higher; };

static void add_task(struct sums *x, const struct exam_score *s, bool weighted)
{
	double n = (double)s->value.n, w = weighted ? n : 1, error = s->value.stderr_;

	x->value += w * s->value.mean;
	x->weight += w;
	x->rows += n;
	x->tasks++;
	x->has_error += s->has_error;
	x->pooled += (n - 1) * error * error * n;
	x->squares += error * error;
	x->higher = s->higher_is_better;
}

static struct exam_score group_one(const struct sums *x, bool weighted)
{
	double mean = x->value / x->weight,
	       error = weighted ? sqrt(x->pooled / (x->rows - x->tasks) / x->rows) : sqrt(x->squares) / x->tasks;
	bool has_error = x->has_error == x->tasks && (!weighted || x->rows > x->tasks);

	error = has_error ? error : NAN;
	return (struct exam_score){ .value = { mean, error, mean - 1.96 * error, mean + 1.96 * error, (size_t)x->rows },
		                    .higher_is_better = x->higher, .has_error = has_error };
}

static bool takes_filter(const json_t *list, const char *filter)
{
	size_t i;
	json_t *one;

	if (!list || json_is_null(list))
		return true;
	if (json_is_string(list))
		return !strcmp(json_string_value(list), filter);
	json_array_foreach((json_t *)(uintptr_t)list, i, one)
		if (json_is_string(one) && !strcmp(json_string_value(one), filter))
			return true;
	return false;
}

static const char *const known[] = { "metric", "aggregation", "weight_by_size", "filter_list", NULL };

/* The scores of one entry of aggregate_metric_list, a filter after the other as the tasks have them. */
static int group_metric(const struct exams *t, const bool *in, const struct exam_scores *scores, const json_t *entry,
                        struct exam_score *out, size_t *n_out, size_t most, struct err *e)
{
	const char *metric = json_string_value(json_object_get(entry, "metric")),
	           *how = json_string_value(json_object_get(entry, "aggregation"));
	bool weighted = !json_is_false(json_object_get(entry, "weight_by_size"));
	size_t first = *n_out;

	if (exam_keys(entry, known, "", e) < 0)
		return -1;
	if (!metric || (json_object_get(entry, "aggregation") && (!how || strcmp(how, "mean") != 0)))
		return err_set(e, "an entry names its metric, and its aggregation can be mean alone");
	for (size_t i = 0; i < t->n; i++)
		for (size_t k = 0; in[i] && k < scores[i].n; k++) {
			const struct exam_score *s = &scores[i].items[k];
			bool seen = strcmp(s->metric, metric) != 0 ||
			            !takes_filter(json_object_get(entry, "filter_list"), s->filter);
			for (size_t d = first; d < *n_out; d++)
				seen |= !strcmp(out[d].filter, s->filter);
			if (seen || *n_out == most)
				continue;
			struct sums x = { 0 };
			for (size_t j = 0; j < t->n; j++)
				for (size_t l = 0; in[j] && l < scores[j].n; l++)
					if (!strcmp(scores[j].items[l].metric, metric) &&
					    !strcmp(scores[j].items[l].filter, s->filter))
						add_task(&x, &scores[j].items[l], weighted);
			out[*n_out] = group_one(&x, weighted);
			out[*n_out].metric = s->metric;
			out[(*n_out)++].filter = s->filter;
		}
	return 0;
}

int exam_group_score(const struct exams *t, const struct exam_group *g, const struct exam_scores *items,
                     struct arena *mem, struct exam_score **out, size_t *n_out, struct err *e)
{
	json_t *list = json_object_get(g->config, "aggregate_metric_list"), *one;
	size_t i, most = EXAM_METRICS * EXAM_FILTERS;
	bool *in = mem_array(t->n + 1, sizeof(*in));
	int status = 0;

	*out = arena_array(mem, most, sizeof(**out));
	*n_out = 0;
	mark(t, g, in, 0);
	if (json_is_object(list))
		status = group_metric(t, in, items, list, *out, n_out, most, e);
	else if (list && !json_is_null(list) && !json_is_array(list))
		status = err_set(e, "a list was wanted");
	else
		json_array_foreach(list, i, one)
			if (status == 0)
				status = group_metric(t, in, items, one, *out, n_out, most, e);
	mem_free(in);
	return status < 0 ? err_prefix(e, "group %.80s: aggregate_metric_list", g->name) : 0;
}
