/* agreement: every number is a function of how often each unit is taken, so the bootstrap counts the same way. With
 * squares of differences a unit's sum over pairs is 2m·Σx² − 2(Σx)². See agreement.h. */
#include "feedback/agreement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum measurement agreement_measurement(enum feedback_ask ask) { return ask == ASK_RATE ? ORDINAL : NOMINAL; }

struct counting {
	const struct judgements *j;
	enum measurement measurement;
	double *equal;                  /* [n_units] ordered pairs of equal judgements */
};

static size_t judged(const struct judgements *j, int32_t u) { return j->first[u + 1] - j->first[u]; }

static double taken(const uint32_t *times, int32_t u) { return times ? (double)times[u] : 1; }

static void begin(struct counting *c, const struct judgements *j, enum measurement m)
{
	double *of = mem_array((size_t)j->n_values, sizeof(*of));

	*c = (struct counting){ j, m, mem_array((size_t)j->n_units, sizeof(double)) };
	for (int32_t u = 0; u < j->n_units; u++) {
		for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
			c->equal[u] += 2 * of[j->at[i].value]++;
		for (size_t i = j->first[u]; i < j->first[u + 1]; i++)
			of[j->at[i].value] = 0;
	}
	mem_free(of);
}

/* How often each value is in units that count; returns their sum. */
static double shares(const struct judgements *j, const uint32_t *times, double *of)
{
	double n = 0;

	memset(of, 0, (size_t)j->n_values * sizeof(*of));
	for (int32_t u = 0; u < j->n_units; u++) {
		double t = judged(j, u) > 1 ? taken(times, u) : 0;
		for (size_t i = j->first[u]; t > 0 && i < j->first[u + 1]; i++)
			of[j->at[i].value] += t;
		n += t * (double)judged(j, u);
	}
	return n;
}

static double count_percent(const void *ctx, const uint32_t *times)
{
	const struct counting *c = ctx;
	double agree = 0, n = 0;

	for (int32_t u = 0; u < c->j->n_units; u++) {
		double m = (double)judged(c->j, u), t = m > 1 ? taken(times, u) : 0;
		agree += t > 0 ? t * c->equal[u] / (m - 1) : 0;
		n += t * m;
	}
	return n > 0 ? agree / n : NAN;
}

static double count_fleiss(const void *ctx, const uint32_t *times)
{
	const struct counting *c = ctx;
	double *of = mem_array((size_t)c->j->n_values, sizeof(*of));
	double agree = 0, units = 0, chance = 0, n = shares(c->j, times, of);

	for (int32_t u = 0; u < c->j->n_units; u++) {
		double m = (double)judged(c->j, u), t = m > 1 ? taken(times, u) : 0;
		agree += t > 0 ? t * c->equal[u] / (m * (m - 1)) : 0;
		units += t;
	}
	for (int32_t v = 0; v < c->j->n_values; v++)
		chance += of[v] / n * (of[v] / n);
	mem_free(of);
	return n > 0 && chance < 1 ? (agree / units - chance) / (1 - chance) : NAN;
}

static double nominal_alpha(const struct counting *c, const uint32_t *times, const double *of, double n)
{
	double chance = n * n;

	for (int32_t v = 0; v < c->j->n_values; v++)
		chance -= of[v] * of[v];
	return chance > 0 ? 1 - (1 - count_percent(c, times)) * n * (n - 1) / chance : NAN;
}

/* x[n_values]: what values are worth. */
static double squared_alpha(const struct counting *c, const uint32_t *times, const double *x, double n)
{
	const struct judgements *j = c->j;
	double inside = 0, sum = 0, squares = 0;

	for (int32_t u = 0; u < j->n_units; u++) {
		double m = (double)judged(j, u), t = m > 1 ? taken(times, u) : 0, s = 0, ss = 0;
		for (size_t i = j->first[u]; t > 0 && i < j->first[u + 1]; i++) {
			s += x[j->at[i].value];
			ss += x[j->at[i].value] * x[j->at[i].value];
		}
		inside += t > 0 ? t * (m * ss - s * s) / (m - 1) : 0;
		sum += t * s;
		squares += t * ss;
	}
	double all = n * squares - sum * sum;
	return all > 1e-12 * n * squares ? 1 - inside * (n - 1) / all : NAN;
}

static double count_alpha(const void *ctx, const uint32_t *times)
{
	const struct counting *c = ctx;
	size_t n_values = (size_t)c->j->n_values;
	double *of = mem_array(n_values, sizeof(*of)), *x = mem_array(n_values, sizeof(*x));
	double n = shares(c->j, times, of), below = 0, alpha = NAN;

	for (size_t v = 0; v < n_values; v++) {
		x[v] = c->measurement == ORDINAL ? below + of[v] / 2 : c->j->values[v] - c->j->values[0];
		below += of[v];
	}
	if (n > 0)
		alpha = c->measurement == NOMINAL ? nominal_alpha(c, times, of, n) : squared_alpha(c, times, x, n);
	mem_free(x);
	mem_free(of);
	return alpha;
}

/* Something was judged by two raters: what one says twice is no agreement. */
static bool between_raters(const struct judgements *j)
{
	for (int32_t u = 0; u < j->n_units; u++)
		for (size_t i = j->first[u] + 1; i < j->first[u + 1]; i++)
			if (j->at[i].rater != j->at[j->first[u]].rater)
				return true;
	return false;
}

static struct bounds counted(double (*count)(const void *, const uint32_t *), const struct judgements *j,
                             enum measurement m, const struct resample *r)
{
	struct counting c;

	if (!between_raters(j))
		return (struct bounds){ NAN, NAN, NAN };
	begin(&c, j, m);
	struct bounds b = resample(count, &c, (size_t)j->n_units, r);
	mem_free(c.equal);
	return b;
}

struct bounds agreement_percent(const struct judgements *j, const struct resample *r)
{
	return counted(count_percent, j, NOMINAL, r);
}

struct bounds krippendorff_alpha(const struct judgements *j, enum measurement m, const struct resample *r)
{
	return counted(count_alpha, j, m, r);
}

struct bounds fleiss_kappa(const struct judgements *j, const struct resample *r)
{
	return counted(count_fleiss, j, NOMINAL, r);
}

void agreement_units(const struct judgements *j, size_t *several, size_t *unanimous)
{
	struct counting c;

	*several = *unanimous = 0;
	begin(&c, j, NOMINAL);
	for (int32_t u = 0; u < j->n_units; u++) {
		double m = (double)judged(j, u);
		*several += m > 1;
		*unanimous += m > 1 && c.equal[u] == m * (m - 1);
	}
	mem_free(c.equal);
}

/* --- two raters --- */

struct both { int32_t a, b, unit, of_a, of_b; };        /* raters, what they said of one unit */

struct pair { const struct both *at; size_t n; int32_t n_values; };

static int by_raters(const void *x, const void *y)
{
	const struct both *p = x, *q = y;

	return p->a != q->a ? p->a - q->a : p->b - q->b;
}

static int by_raters_and_unit(const void *x, const void *y)
{
	const struct both *p = x, *q = y;
	int order = by_raters(x, y);

	return order ? order : p->unit - q->unit;
}

static double count_agree(const void *ctx, const uint32_t *times)
{
	const struct pair *p = ctx;
	double agree = 0, n = 0;

	for (size_t i = 0; i < p->n; i++) {
		agree += taken(times, (int32_t)i) * (p->at[i].of_a == p->at[i].of_b);
		n += taken(times, (int32_t)i);
	}
	return agree / n;
}

static double count_cohen(const void *ctx, const uint32_t *times)
{
	const struct pair *p = ctx;
	double *a = mem_array(2 * (size_t)p->n_values, sizeof(*a)), *b = a + p->n_values;
	double agree = count_agree(ctx, times), chance = 0;

	for (size_t i = 0; i < p->n; i++) {
		a[p->at[i].of_a] += taken(times, (int32_t)i) / (double)p->n;
		b[p->at[i].of_b] += taken(times, (int32_t)i) / (double)p->n;
	}
	for (int32_t v = 0; v < p->n_values; v++)
		chance += a[v] * b[v];
	mem_free(a);
	return chance < 1 - 1e-12 ? (agree - chance) / (1 - chance) : NAN;
}

static bool said_before(const struct judgements *j, int32_t u, size_t i)
{
	for (size_t k = j->first[u]; k < i; k++)
		if (j->at[k].rater == j->at[i].rater)
			return true;
	return false;
}

/* What pairs of raters said of a unit; out NULL: how many there are. */
static size_t pairs_of(const struct judgements *j, int32_t u, struct both *out)
{
	size_t n = 0;

	for (size_t i = j->first[u]; i < j->first[u + 1]; i++) {
		if (said_before(j, u, i))
			continue;
		for (size_t k = j->first[u]; k < i; k++) {
			const struct judgement *x = &j->at[k], *y = &j->at[i];
			if (x->rater == y->rater || said_before(j, u, k))
				continue;
			if (out && x->rater < y->rater)
				out[n] = (struct both){ x->rater, y->rater, u, x->value, y->value };
			else if (out)
				out[n] = (struct both){ y->rater, x->rater, u, y->value, x->value };
			n++;
		}
	}
	return n;
}

size_t cohen_kappas(const struct judgements *j, const struct resample *r, struct arena *mem, struct cohen **out)
{
	size_t n = 0, pairs = 0;

	for (int32_t u = 0; u < j->n_units; u++)
		n += pairs_of(j, u, NULL);
	struct both *all = mem_array(n, sizeof(*all));
	n = 0;
	for (int32_t u = 0; u < j->n_units; u++)
		n += pairs_of(j, u, all + n);
	if (n > 0)
		qsort(all, n, sizeof(*all), by_raters_and_unit);
	*out = arena_array(mem, n, sizeof(**out));
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && by_raters(&all[end], &all[i]) == 0; end++)
			;
		struct pair p = { all + i, end - i, j->n_values };
		(*out)[pairs++] = (struct cohen){ all[i].a, all[i].b, p.n, count_agree(&p, NULL),
			                          resample(count_cohen, &p, p.n, r) };
	}
	mem_free(all);
	return pairs;
}
