/* task_score: what came of answering rows, as a score of one measure.
 *
 *     accuracy, acc_norm, exact_match   the share of rows that are right
 *     f1     of classes: the mean of their F1 over the classes that the rows have; else the mean of the rows' token F1
 *     reward   the mean of what the rows' answers were given
 *     perplexity   exp(−Σ ln p / Σ tokens) of the right answers
 *
 * Where all rows have the same F1 or reward x its standard error is taken as max(|x|, 1)/n, as if one of them had
 * been at 0. Bounds of shares are Wilson's at one look; of F1 the normal's; of a perplexity the normal's in its
 * logarithm. Token F1 is SQuAD's (Rajpurkar et al. 2016): small letters, no punctuation, no articles; the words that
 * both have. */
#include "ladder/task.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/label_scores.h"

static double value_of(enum measure m, const struct outcome *o)
{
	switch (m) {
	case MEASURE_ACC_NORM: return o->hit_norm;
	case MEASURE_EXACT_MATCH: return o->exact;
	case MEASURE_F1: return o->f1;
	case MEASURE_REWARD: return o->reward;
	default: return o->hit;
	}
}

/* What is none of the classes is one more class, which no row has; the mean is of the others. */
static struct estimate macro_f1(const struct task *t, const size_t *at, const struct outcome *out, size_t n)
{
	int32_t *has = mem_array(n, sizeof(*has)), *said = mem_array(n, sizeof(*said));
	struct label_scores s;
	double seen = 0;
	bool other = false;

	for (size_t i = 0; i < n; i++) {
		has[i] = t->rows[at[i]].class < 0 ? t->n_classes : t->rows[at[i]].class;
		said[i] = out[i].said < 0 ? t->n_classes : out[i].said;
		other |= said[i] == t->n_classes;
	}
	label_scores_single(&s, t->n_classes + 1, has, said, n);
	for (int c = 0; c <= t->n_classes; c++)
		seen += s.each[c].rows || s.each[c].said;
	struct estimate x = s.macro_f1;
	double by = other && seen > 1 ? seen / (seen - 1) : 1;
	x.mean = fmin(1, x.mean * by);
	x.stderr_ *= by;
	label_scores_release(&s);
	mem_free(has);
	mem_free(said);
	return x;
}

static struct estimate perplexity(const struct outcome *out, size_t n)
{
	double *sum = mem_array(n, sizeof(*sum)), *count = mem_array(n, sizeof(*count)), tokens = 0;
	size_t known = 0;

	for (size_t i = 0; i < n; i++) {
		if (!(out[i].tokens > 0) || isnan(out[i].logprob))
			continue;
		sum[known] = out[i].logprob;
		count[known++] = out[i].tokens;
		tokens += out[i].tokens;
	}
	struct estimate x = estimate_perplexity(sum, count, known);
	if (known < n || !(tokens > 0))
		x.n = 0;
	mem_free(sum);
	mem_free(count);
	return x;
}

static struct estimate mean_value(enum measure m, const struct outcome *out, size_t n)
{
	double *x = mem_array(n, sizeof(*x));
	bool known = true;

	for (size_t i = 0; i < n; i++) {
		x[i] = value_of(m, &out[i]);
		known &= !isnan(x[i]);
	}
	struct estimate s = measure_is_share(m) ? estimate_proportion(x, n) : estimate_mean(x, n);
	if (!known)
		s.n = 0;
	mem_free(x);
	return s;
}

struct estimate task_score(const struct task *t, enum measure m, const size_t *at, const struct outcome *out, size_t n)
{
	if (!n)
		return (struct estimate){ .mean = NAN, .stderr_ = NAN, .low = NAN, .high = NAN };
	if (m == MEASURE_PERPLEXITY)
		return perplexity(out, n);
	struct estimate x = m == MEASURE_F1 && t->n_classes ? macro_f1(t, at, out, n) : mean_value(m, out, n);
	if (!measure_is_share(m) && !(x.stderr_ > 0)) /* all rows alike say not that the next one will be, too */
		x.stderr_ = fmax(fabs(x.mean), 1) / (double)n;
	return x;
}

double task_value(const struct task *t, enum measure m, const struct outcome *o)
{
	return m == MEASURE_PERPLEXITY || (m == MEASURE_F1 && t->n_classes) ? NAN : value_of(m, o);
}

static struct estimate gain_in_nats(const struct outcome *before, const struct outcome *now, size_t n)
{
	double *gained = mem_array(n, sizeof(*gained)), *count = mem_array(n, sizeof(*count));

	for (size_t i = 0; i < n; i++) {
		gained[i] = now[i].logprob - before[i].logprob;
		count[i] = now[i].tokens;
	}
	struct estimate x = estimate_perplexity_ratio(gained, count, n);
	x.stderr_ /= x.mean;
	x.mean = -log(x.mean);
	mem_free(gained);
	mem_free(count);
	return x;
}

static struct estimate gain_of_rows(enum measure m, const struct outcome *before, const struct outcome *now, size_t n)
{
	double *x = mem_array(n, sizeof(*x));

	for (size_t i = 0; i < n; i++)
		x[i] = value_of(m, &now[i]) - value_of(m, &before[i]);
	struct estimate s = estimate_mean(x, n);
	mem_free(x);
	return s;
}

/* Of F1 of classes, which is no mean of rows, as if the two were independent: the interval is wider than it need be. */
struct estimate task_gain(const struct task *t, enum measure m, const size_t *at, const struct outcome *before,
                          const struct outcome *now, size_t n)
{
	if (m == MEASURE_PERPLEXITY)
		return gain_in_nats(before, now, n);
	if (m != MEASURE_F1 || !t->n_classes)
		return gain_of_rows(m, before, now, n);
	struct estimate x = task_score(t, m, at, before, n), y = task_score(t, m, at, now, n);
	y.mean -= x.mean;
	y.stderr_ = hypot(x.stderr_, y.stderr_);
	return y;
}

/* F1 lies between 0 and 1, a reward anywhere. */
static struct bounds within(enum measure m, struct bounds b)
{
	return m == MEASURE_REWARD ? b : (struct bounds){ fmax(0, b.low), fmin(1, b.high) };
}

struct bounds task_bounds(enum measure m, const struct estimate *x, double alpha)
{
	double z = bound_z(alpha), error = isfinite(x->stderr_) ? x->stderr_ : INFINITY;

	if (measure_is_share(m))
		return bound_wilson(x->mean * (double)x->n, (double)x->n, alpha);
	if (m == MEASURE_PERPLEXITY)
		return (struct bounds){ fmax(1, x->mean * exp(-z * error / x->mean)),
			                x->mean * exp(z * error / x->mean) };
	return within(m, (struct bounds){ x->mean - z * error, x->mean + z * error });
}

struct bounds task_sequence(enum measure m, const struct estimate *x, double alpha)
{
	double n = (double)x->n;

	if (measure_is_share(m))
		return bound_sequence(x->mean * n, n, alpha);
	if (m == MEASURE_PERPLEXITY) {
		struct bounds b = bound_mean_sequence(log(x->mean), x->stderr_ / x->mean, n, alpha);
		return (struct bounds){ fmax(1, exp(b.low)), exp(b.high) };
	}
	return within(m, bound_mean_sequence(x->mean, x->stderr_, n, alpha));
}

double task_chance(const struct goal_term *g, const struct estimate *x, size_t n_test, double alpha)
{
	double n = (double)x->n;

	if (!x->n)
		return 0;
	if (measure_is_share(g->what))
		return bound_chance(x->mean * n, n, n_test, g->value, alpha);
	if (g->what == MEASURE_PERPLEXITY)
		return bound_mean_chance(-log(x->mean), x->stderr_ / x->mean, n, n_test, -log(g->value), alpha);
	return bound_mean_chance(x->mean, x->stderr_, n, n_test, g->value, alpha);
}
