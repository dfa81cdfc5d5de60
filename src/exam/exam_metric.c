/* exam_metric: what is measured of a sample and how samples add up, lm-eval's arithmetic.
 *
 *     acc              argmax log p is the gold choice; of a text's continuation: it is what the model would say
 *     acc_norm         argmax log p / characters      acc_bytes   … / bytes of UTF-8
 *     acc_mutual_info  argmax log p(choice | context) − log p(choice)
 *     exact_match      of choices: the gold one is what the model would say; of answers: equal to the target, without
  * what
 *                      regexes_to_ignore match, case, ASCII's punctuation and digits where they are ignored
 *     f1, mcc          of (gold, choice) over all samples: scikit-learn's of two classes, and of any number
 *     brier_score      mean of Σ_k (p_k − [k is gold])², p = softmax of log p
 *     perplexity       exp(−mean log p); word_perplexity, byte_perplexity: exp(−Σ log p / Σ words, bytes)
 *     bits_per_byte    −Σ log p / Σ bytes / ln 2
 *
 * Of several gold choices any is right. Errors: of a mean the sample standard deviation over √n, of a perplexity that
 * of the mean times it (to first order; lm-eval draws samples again), of f1, mcc and a median from a thousand draws, of
 * quotients of sums that of a ratio. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/py_literal.h"
#include "base/rng.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "base/yaml_json.h"
#include "exam/exam_parts.h"

enum { DRAWS = 1000, CLASSES_MOST = 4096 };

enum { OF_CHOICES = 1, OF_TEXTS = 2, OF_ROLLING = 4, OF_ANSWERS = 8 };
static const struct known {
	const char *name, *aggregation;
	int of;
	bool higher_is_better;
} known[] = {
	{ "acc", "mean", OF_CHOICES | OF_TEXTS, true },
	{ "acc_norm", "mean", OF_CHOICES, true },
	{ "acc_bytes", "mean", OF_CHOICES, true },
	{ "acc_mutual_info", "mean", OF_CHOICES, true },
	{ "exact_match", "mean", OF_CHOICES | OF_ANSWERS, true },
	{ "f1", "f1", OF_CHOICES, true },
	{ "mcc", "matthews_corrcoef", OF_CHOICES, true },
	{ "brier_score", "brier_score", OF_CHOICES, false },
	{ "perplexity", "perplexity", OF_TEXTS, false },
	{ "word_perplexity", "weighted_perplexity", OF_ROLLING, false },
	{ "byte_perplexity", "weighted_perplexity", OF_ROLLING, false },
	{ "bits_per_byte", "bits_per_byte", OF_ROLLING, false },
};
static const char *const aggregations[] = { "mean", "nanmean", "median", "perplexity", "weighted_perplexity",
	                                    "bits_per_byte", "f1", "matthews_corrcoef", "brier_score" };
static const char *const keys_any[] = { "metric", "aggregation", "higher_is_better", "hf_evaluate", NULL };
static const char *const keys_match[] = { "metric", "aggregation", "higher_is_better", "hf_evaluate", "ignore_case",
	                                  "ignore_punctuation", "ignore_numbers", "regexes_to_ignore", NULL };

/* --- opening --- */

static int kind_of(const struct exam *t)
{
	static const int kinds[] = { OF_CHOICES, OF_TEXTS, OF_ROLLING, OF_ANSWERS };
	return kinds[t->output];
}

static int open_ignored(struct exam_metric *m, struct err *e)
{
	const json_t *list = json_object_get(m->options, "regexes_to_ignore");
	size_t i;
	json_t *one;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return err_set(e, "regexes_to_ignore: a list was wanted");
	m->ignore = mem_array(json_array_size(list), sizeof(*m->ignore));
	json_array_foreach((json_t *)(uintptr_t)list, i, one) {
		if (!json_is_string(one))
			return err_set(e, "regexes_to_ignore: a text was wanted");
		if (py_re_new(&m->ignore[i], json_string_value(one), e) < 0)
			return -1;
		m->n_ignore++;
	}
	return 0;
}

static int open_aggregation(struct exam_metric *m, struct err *e)
{
	const json_t *a = json_object_get(m->options, "aggregation");
	const char *function = json_string_value(json_object_get(a, YAML_FUNCTION)), *name = json_string_value(a);

	if (function) {
		m->function = exam_function(function);
		return m->function && m->function->aggregate ?
			       0 : err_set(e, "aggregation: !function %.80s is Python, which is not run here",
		                           function);
	}
	if (name)
		m->aggregation = name;
	for (size_t i = 0; i < ARRAY_LEN(aggregations); i++)
		if (m->aggregation && !strcmp(m->aggregation, aggregations[i]))
			return 0;
	return err_set(e, "the aggregation %.80s is not known here", m->aggregation ? m->aggregation : "of nothing");
}

static int open_metric(struct exam *t, const json_t *c, struct err *e)
{
	struct exam_metric *m = &t->metric[t->n_metrics];
	const char *name = json_string_value(json_object_get(c, "metric"));
	const json_t *better = json_object_get(c, "higher_is_better");
	size_t i = 0;

	if (!name)
		return err_set(e, "`metric` names none of ours%s",
		               json_object_get(json_object_get(c, "metric"), YAML_FUNCTION) ?
		                       ", and Python (!function) is not run here" : "");
	while (i < ARRAY_LEN(known) && strcmp(known[i].name, name) != 0)
		i++;
	const struct known *k = i < ARRAY_LEN(known) ? &known[i] : NULL;
	bool own = t->own || t->process_results; /* a function of ours measures: any name may be its */
	if (!own && (!k || !(k->of & kind_of(t))))
		return err_set(e, "%.80s is no metric of output_type %s here", name,
		               json_string_value(json_object_get(t->config, "output_type")) ?
		                       json_string_value(json_object_get(t->config, "output_type")) : "generate_until");
	if (exam_keys(c, !strcmp(name, "exact_match") && t->output == EXAM_GENERATE ? keys_match : keys_any,
	              "", e) < 0)
		return -1;
	if (json_is_true(json_object_get(c, "hf_evaluate")))
		return err_set(e, "hf_evaluate: metrics of the Python package are not run here");
	*m = (struct exam_metric){ .name = name, .aggregation = k ? k->aggregation : NULL, .options = c,
		                   .higher_is_better = better ? json_is_true(better) : !k || k->higher_is_better };
	t->n_metrics++;
	if (!strcmp(name, "acc_mutual_info") && t->multiple_input)
		return err_set(e, "acc_mutual_info is of choices that follow a context");
	return open_aggregation(m, e) < 0 || open_ignored(m, e) < 0 ? -1 : 0;
}

/* What lm-eval measures where the config does not say. */
static json_t *usual(const struct exam *t)
{
	switch (t->output) {
	case EXAM_MULTIPLE_CHOICE: return json_pack("[{s:s}, {s:s}]", "metric", "acc", "metric", "acc_norm");
	case EXAM_LOGLIKELIHOOD: return json_pack("[{s:s}, {s:s}]", "metric", "perplexity", "metric", "acc");
	case EXAM_ROLLING:
		return json_pack("[{s:s}, {s:s}, {s:s}]", "metric", "word_perplexity", "metric", "byte_perplexity",
		                 "metric", "bits_per_byte");
	case EXAM_GENERATE: break;
	}
	return json_pack("[{s:s}]", "metric", "exact_match");
}

int exam_metrics_open(struct exam *t, struct err *e)
{
	json_t *list = json_object_get(t->config, "metric_list"), *one;
	size_t i;

	if (!list || json_is_null(list)) {
		list = usual(t);
		json_object_set_new(t->config, "metric_list", list);
	}
	if (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > EXAM_METRICS)
		return err_set(e, "metric_list: a list of 1 to %d metrics was wanted", EXAM_METRICS);
	json_array_foreach(list, i, one)
		if (open_metric(t, one, e) < 0)
			return err_prefix(e, "metric_list");
	return 0;
}

void exam_metrics_release(struct exam *t)
{
	for (size_t i = 0; i < t->n_metrics; i++) {
		for (size_t k = 0; k < t->metric[i].n_ignore; k++)
			py_re_free(t->metric[i].ignore[k]);
		mem_free(t->metric[i].ignore);
	}
}

/* --- a sample of choices --- */

/* The first of the largest of x[i]/by[i]. */
static size_t argmax(const double *x, const double *by, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if ((by ? x[i] / by[i] : x[i]) > (by ? x[best] / by[best] : x[best]))
			best = i;
	return best;
}

/* Of a row: which choices are right, and the numbers of each. */
struct chosen {
	size_t n;                      /* choices */
	double *logp, *alone, *chars, *bytes; /* [n] */
	bool *greedy, *gold;           /* [n] */
	long long first;               /* the gold one; −100: it is no choice */
};

static bool hits(const struct chosen *c, size_t i) { return c->gold[i]; }

static double greedy_gold(const struct chosen *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->gold[i] && c->greedy[i])
			return 1;
	return 0;
}

static json_t *brier(const struct chosen *c)
{
	double most = c->logp[argmax(c->logp, NULL, c->n)], sum = 0, score = 0;

	for (size_t i = 0; i < c->n; i++)
		sum += exp(c->logp[i] - most);
	for (size_t i = 0; i < c->n; i++) {
		double p = exp(c->logp[i] - most) / sum - ((long long)i == c->first);
		score += p * p;
	}
	return json_real(score);
}

static json_t *choice_metric(const char *name, const struct chosen *c)
{
	size_t best = argmax(c->logp, NULL, c->n);

	if (!strcmp(name, "acc"))
		return json_real(hits(c, best));
	if (!strcmp(name, "acc_norm"))
		return json_real(hits(c, argmax(c->logp, c->chars, c->n)));
	if (!strcmp(name, "acc_bytes"))
		return json_real(hits(c, argmax(c->logp, c->bytes, c->n)));
	if (!strcmp(name, "exact_match"))
		return json_integer((json_int_t)greedy_gold(c));
	if (!strcmp(name, "brier_score"))
		return brier(c);
	if (!strcmp(name, "acc_mutual_info")) {
		double *more = mem_array(c->n, sizeof(*more));
		for (size_t i = 0; i < c->n; i++)
			more[i] = c->logp[i] - c->alone[i];
		json_t *made = json_real((long long)argmax(more, NULL, c->n) == c->first);
		mem_free(more);
		return made;
	}
	return json_pack("[I, I]", (json_int_t)c->first, (json_int_t)best); /* f1, mcc */
}

static void mark_gold(struct chosen *c, const json_t *gold, const json_t *choices)
{
	long long at = -100;
	size_t i;
	json_t *one;

	if (json_is_array(gold)) {
		json_array_foreach((json_t *)(uintptr_t)gold, i, one)
			mark_gold(c, one, choices);
		return;
	}
	if (json_is_integer(gold))
		at = json_integer_value(gold);
	json_array_foreach((json_t *)(uintptr_t)choices, i, one)
		if (json_is_string(gold) && at < 0 && json_equal(one, gold))
			at = (long long)i;
	if (at >= 0 && at < (long long)c->n) {
		c->gold[at] = true;
		c->first = at;
	}
}

static int measure_choices(const struct exam *t, const json_t *doc, const json_t *answers, json_t *metrics,
                           struct err *e)
{
	json_t *choices = exam_choices(t, &t->choice, doc, e), *one;
	json_t *gold = !choices ? NULL : t->multiple_input ? exam_text(t, &t->text, doc, e) :
	                                                     exam_target(t, &t->target, doc, e);
	struct arena mem = ARENA_INIT;
	struct chosen c = { .n = json_array_size(choices), .first = -100 };
	size_t i;

	if (gold) {
		c.logp = arena_array(&mem, 4 * c.n, sizeof(double));
		c.alone = c.logp + c.n;
		c.chars = c.logp + 2 * c.n;
		c.bytes = c.logp + 3 * c.n;
		c.greedy = arena_array(&mem, 2 * c.n, sizeof(bool));
		c.gold = c.greedy + c.n;
		json_array_foreach((json_t *)(uintptr_t)answers, i, one) {
			double logp = json_real_value(json_array_get(one, 0));
			if (i < c.n)
				c.greedy[i] = json_is_true(json_array_get(one, 1));
			*(i < c.n ? &c.logp[i] : &c.alone[i - c.n]) = logp;
		}
		json_array_foreach(choices, i, one) {
			c.bytes[i] = (double)json_string_length(one);
			c.chars[i] = (double)utf8_count(json_string_value(one), json_string_length(one));
		}
		mark_gold(&c, gold, choices);
		for (i = 0; i < t->n_metrics; i++)
			json_object_set_new(metrics, t->metric[i].name, choice_metric(t->metric[i].name, &c));
	}
	int status = gold ? 0 : -1;
	json_decref(choices);
	json_decref(gold);
	arena_release(&mem);
	return status;
}

/* --- an answer --- */

static bool is_punctuation(char c) { return ispunct((unsigned char)c) && (unsigned char)c < 0x80; }

/* What is compared of a text. */
static int comparable(const struct exam_metric *m, const json_t *text, struct buf *out, struct err *e)
{
	bool no_case = json_is_true(json_object_get(m->options, "ignore_case")),
	     no_marks = json_is_true(json_object_get(m->options, "ignore_punctuation")),
	     no_digits = json_is_true(json_object_get(m->options, "ignore_numbers"));
	struct buf in = BUF_INIT;
	int status = 0;

	py_str(&in, text);
	for (size_t i = 0; i < m->n_ignore && status == 0; i++) {
		struct buf less = BUF_INIT;
		status = py_re_replace(m->ignore[i], "", buf_str(&in), in.len, &less, e);
		buf_release(&in);
		in = less;
	}
	if (no_case) {
		struct buf lower = BUF_INIT;
		unicode_recase(&lower, buf_str(&in), in.len, UNICODE_LOWER);
		buf_release(&in);
		in = lower;
	}
	for (size_t i = 0; i < in.len; i++)
		if (!(no_marks && is_punctuation(in.data[i])) && !(no_digits && isdigit((unsigned char)in.data[i])))
			buf_addc(out, in.data[i]);
	buf_release(&in);
	return status;
}

static int match(const struct exam_metric *m, const json_t *gold, const json_t *answer, bool *equal, struct err *e)
{
	struct buf a = BUF_INIT, b = BUF_INIT;
	int status = comparable(m, gold, &a, e);

	if (status == 0)
		status = comparable(m, answer, &b, e);
	*equal |= a.len == b.len && !memcmp(buf_str(&a), buf_str(&b), a.len) && !json_is_null(answer);
	buf_release(&a);
	buf_release(&b);
	return status;
}

static int measure_answer(const struct exam *t, const json_t *doc, const json_t *answer, json_t *metrics, struct err *e)
{
	json_t *gold = exam_target(t, &t->target, doc, e), *one;
	int status = gold ? 0 : -1;
	size_t k;

	if (gold && t->choice.value) {
		json_t *choices = exam_choices(t, &t->choice, doc, e),
		       *chosen = json_is_integer(gold) ?
		                         json_array_get(choices, (size_t)json_integer_value(gold)) : NULL;
		if (!chosen && status == 0)
			status = choices ? err_set(e, "doc_to_target is none of the choices") : -1;
		json_decref(gold);
		gold = json_incref(chosen);
		json_decref(choices);
	}
	for (size_t i = 0; i < t->n_metrics && status == 0; i++) {
		bool equal = false;
		if (json_is_array(gold) && t->multiple_target) {
			json_array_foreach(gold, k, one)
				if (status == 0)
					status = match(&t->metric[i], one, answer, &equal, e);
		} else {
			status = match(&t->metric[i], gold, answer, &equal, e);
		}
		json_object_set_new(metrics, t->metric[i].name, json_real(equal));
	}
	json_decref(gold);
	return status;
}

/* --- texts --- */

static bool wants(const struct exam *t, const char *name)
{
	for (size_t i = 0; i < t->n_metrics; i++)
		if (!strcmp(t->metric[i].name, name))
			return true;
	return false;
}

size_t exam_count_words(const char *s, size_t n)
{
	size_t words = 1;
	bool space = false;
	uint32_t c;

	for (size_t i = 0, k; i < n; i += k) {
		k = MAX(utf8_decode(s + i, n - i, &c), (size_t)1);
		words += unicode_is_space(c) && !space;
		space = unicode_is_space(c);
	}
	return words;
}

static int measure_rolling(const struct exam *t, const json_t *doc, const json_t *answers, json_t *metrics,
                           struct err *e)
{
	json_t *text = exam_target(t, &t->target, doc, e);
	double logp = json_real_value(json_array_get(answers, 0));

	if (!text)
		return -1;
	size_t bytes = json_string_length(text), words = exam_count_words(json_string_value(text), bytes);
	for (size_t i = 0; i < t->n_metrics; i++)
		json_object_set_new(metrics, t->metric[i].name,
		                    json_pack("[f, I]", logp,
		                              (json_int_t)(!strcmp(t->metric[i].name, "word_perplexity") ? words :
		                                                                                          bytes)));
	json_decref(text);
	return 0;
}

json_t *exam_measure(const struct exam *t, size_t row, const json_t *doc, const json_t *answers, struct err *e)
{
	json_t *metrics = json_object();
	const json_t *first = json_array_get(answers, 0);
	int status = 0;

	if (t->own) {
		status = t->own->measure(t->own->ctx, row, doc, answers, metrics, e);
	} else if (t->process_results) {
		status = t->process_results->of_results(doc, answers, metrics, e);
	} else if (t->output == EXAM_MULTIPLE_CHOICE) {
		status = measure_choices(t, doc, answers, metrics, e);
	} else if (t->output == EXAM_ROLLING) {
		status = measure_rolling(t, doc, answers, metrics, e);
	} else if (t->output == EXAM_GENERATE) {
		status = measure_answer(t, doc, first, metrics, e);
	} else {
		if (wants(t, "perplexity"))
			json_object_set(metrics, "perplexity", json_array_get(first, 0));
		if (wants(t, "acc"))
			json_object_set_new(metrics, "acc", json_integer(json_is_true(json_array_get(first, 1))));
	}
	if (status == 0)
		return metrics;
	json_decref(metrics);
	return NULL;
}

/* --- sums --- */

struct classes { long long *gold, *said; size_t n; };

static double f1_of(const struct classes *c)
{
	size_t hit = 0, wrong = 0;

	for (size_t i = 0; i < c->n; i++) {
		hit += c->gold[i] == 1 && c->said[i] == 1;
		wrong += (c->gold[i] == 1) != (c->said[i] == 1);
	}
	return hit ? 2.0 * (double)hit / (2.0 * (double)hit + (double)wrong) : 0;
}

/* Gorodkin (2004): cov(x, y) / √(cov(x, x)·cov(y, y)) of the classes' indicators. */
static double mcc_of(const struct classes *c)
{
	double n = (double)c->n, same = 0, both = 0, golds = 0, saids = 0;
	size_t *count = mem_array(2 * CLASSES_MOST, sizeof(*count));

	for (size_t i = 0; i < c->n; i++) {
		same += c->gold[i] == c->said[i];
		count[c->gold[i] % CLASSES_MOST]++;
		count[CLASSES_MOST + c->said[i] % CLASSES_MOST]++;
	}
	for (size_t k = 0; k < CLASSES_MOST; k++) {
		both += (double)count[k] * (double)count[CLASSES_MOST + k];
		golds += (double)count[k] * (double)count[k];
		saids += (double)count[CLASSES_MOST + k] * (double)count[CLASSES_MOST + k];
	}
	mem_free(count);
	double under = sqrt((n * n - golds) * (n * n - saids));
	return under > 0 ? (same * n - both) / under : 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* lm-eval's: the upper one of two in the middle. */
static double median_of(const double *x, size_t n)
{
	double *sorted = mem_array(n, sizeof(*sorted));

	memcpy(sorted, x, n * sizeof(*x));
	qsort(sorted, n, sizeof(*sorted), by_size);
	double middle = sorted[n / 2];
	mem_free(sorted);
	return middle;
}

/* What is drawn again and again with replacement: standard deviation of DRAWS values. */
struct drawn { const struct classes *c; const double *x; size_t n; bool f1; };

static double redrawn(const struct drawn *d)
{
	double *value = mem_array(DRAWS, sizeof(*value)), *x = mem_array(d->n, sizeof(*x));
	struct classes c = { mem_array(d->n, sizeof(long long)), mem_array(d->n, sizeof(long long)), d->n };
	struct rng_stream r = { .state = 1 };

	for (size_t k = 0; k < DRAWS; k++) {
		for (size_t i = 0; i < d->n; i++) {
			size_t from = rng_below(&r, (uint32_t)d->n);
			x[i] = d->x ? d->x[from] : 0;
			c.gold[i] = d->c ? d->c->gold[from] : 0;
			c.said[i] = d->c ? d->c->said[from] : 0;
		}
		value[k] = d->x ? median_of(x, d->n) : d->f1 ? f1_of(&c) : mcc_of(&c);
	}
	struct estimate s = estimate_mean(value, DRAWS);
	mem_free(value);
	mem_free(x);
	mem_free(c.gold);
	mem_free(c.said);
	return s.stderr_ * sqrt(DRAWS);
}

static struct estimate with_error(double mean, double error, size_t n)
{
	return (struct estimate){ mean, error, mean - 1.96 * error, mean + 1.96 * error, n };
}

static bool is_binary(const double *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (x[i] != 0 && x[i] != 1)
			return false;
	return true;
}

static int of_pairs(const struct exam_metric *m, const json_t *values, struct exam_score *out, struct err *e)
{
	size_t n = json_array_size(values), i;
	struct classes c = { mem_array(n, sizeof(long long)), mem_array(n, sizeof(long long)), n };
	bool f1 = !strcmp(m->aggregation, "f1");
	int status = 0;
	json_t *one;

	json_array_foreach((json_t *)(uintptr_t)values, i, one) {
		c.gold[i] = json_integer_value(json_array_get(one, 0));
		c.said[i] = json_integer_value(json_array_get(one, 1));
		if (c.gold[i] < 0 || (f1 && (c.gold[i] > 1 || c.said[i] > 1)))
			status = err_set(e, "%s: %s", m->name,
			                 f1 ? "f1 is of two choices" : "a gold answer is none of the choices");
	}
	if (status == 0) {
		const struct drawn d = { .c = &c, .n = n, .f1 = f1 };
		out->value = with_error(f1 ? f1_of(&c) : mcc_of(&c), n > 1 ? redrawn(&d) : NAN, n);
		out->has_error = n > 1;
	}
	mem_free(c.gold);
	mem_free(c.said);
	return status;
}

/* [Σ log p, count] of each. */
static void of_sums(const struct exam_metric *m, const json_t *values, struct exam_score *out)
{
	size_t n = json_array_size(values), i;
	double *sum = mem_array(n, sizeof(*sum)), *count = mem_array(n, sizeof(*count));
	json_t *one;

	json_array_foreach((json_t *)(uintptr_t)values, i, one) {
		sum[i] = json_number_value(json_array_get(one, 0));
		count[i] = json_number_value(json_array_get(one, 1));
	}
	struct estimate s = estimate_perplexity(sum, count, n);
	if (!strcmp(m->aggregation, "bits_per_byte"))
		s = (struct estimate){ log(s.mean) / M_LN2, s.stderr_ / s.mean / M_LN2, log(s.low) / M_LN2,
			               log(s.high) / M_LN2, n };
	out->value = s;
	mem_free(sum);
	mem_free(count);
}

static void of_numbers(const struct exam_metric *m, const double *x, size_t n, struct exam_score *out)
{
	struct estimate s = is_binary(x, n) ? estimate_proportion(x, n) : estimate_mean(x, n);

	out->has_error = n > 1;
	if (!strcmp(m->aggregation, "perplexity")) {
		double p = exp(-s.mean);
		s = (struct estimate){ p, p * s.stderr_, exp(-s.high), exp(-s.low), n };
	} else if (!strcmp(m->aggregation, "median")) {
		const struct drawn d = { .x = x, .n = n };
		s = with_error(median_of(x, n), n > 1 ? redrawn(&d) : NAN, n);
	} else if (!strcmp(m->aggregation, "brier_score")) {
		out->has_error = false; /* lm-eval has none */
	}
	out->value = s;
}

int exam_aggregate(const struct exam_metric *m, const json_t *values, struct exam_score *out, struct err *e)
{
	size_t n = json_array_size(values), i, kept = 0;
	json_t *one;

	*out = (struct exam_score){ .metric = m->name, .higher_is_better = m->higher_is_better };
	if (m->function) {
		out->value = (struct estimate){ m->function->aggregate(values), NAN, NAN, NAN, n };
		return 0;
	}
	if (!strcmp(m->aggregation, "f1") || !strcmp(m->aggregation, "matthews_corrcoef"))
		return of_pairs(m, values, out, e);
	if (!strcmp(m->aggregation, "weighted_perplexity") || !strcmp(m->aggregation, "bits_per_byte")) {
		of_sums(m, values, out);
		return 0;
	}
	double *x = mem_array(n, sizeof(*x));
	json_array_foreach((json_t *)(uintptr_t)values, i, one)
		if (strcmp(m->aggregation, "nanmean") != 0 || !isnan(json_number_value(one)))
			x[kept++] = json_number_value(one);
	of_numbers(m, x, kept, out);
	mem_free(x);
	return 0;
}
