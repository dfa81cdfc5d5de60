/* curve: an error that falls with what is learnt from, fitted to points with errors of their own. n is divided by
 * the points' geometric mean inside, which keeps the two columns of the linear part comparable. */
#include "gas/curve.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"

enum { DRAWS = 400, SCAN = 48, SECTIONS = 48 };
static const double b_min = 0.02, b_max = 5;

struct problem {
	const struct curve_point *p;
	const double *y, *weight;
	size_t n;
	double unit;               /* geometric mean of n */
	bool no_floor;
};

struct solution { double a, b, c, rest; };

/* --- one fit --- */

static double residual(const struct problem *q, double a, double b, double c)
{
	double sum = 0;
	for (size_t i = 0; i < q->n; i++) {
		double off = q->y[i] - a * pow(q->p[i].n / q->unit, -b) - c;
		sum += q->weight[i] * off * off;
	}
	return sum;
}

/* The best a and c for this b, neither below 0. */
static struct solution solve(const struct problem *q, double b)
{
	double w = 0, u = 0, uu = 0, y = 0, uy = 0;

	for (size_t i = 0; i < q->n; i++) {
		double x = pow(q->p[i].n / q->unit, -b), k = q->weight[i];
		w += k;
		u += k * x;
		uu += k * x * x;
		y += k * q->y[i];
		uy += k * x * q->y[i];
	}
	double a = (w * uy - u * y) / (w * uu - u * u), c = (y - a * u) / w;
	if (q->no_floor || c < 0) {
		a = uy / uu;
		c = 0;
	}
	if (a < 0) {
		a = 0;
		c = q->no_floor ? 0 : fmax(0, y / w);
	}
	return (struct solution){ a, b, c, residual(q, a, b, c) };
}

static double scan_b(int i) { return b_min * pow(b_max / b_min, (double)i / (SCAN - 1)); }

static struct solution section(const struct problem *q, double low, double high)
{
	const double ratio = (sqrt(5) - 1) / 2;
	struct solution left = solve(q, high - ratio * (high - low)), right = solve(q, low + ratio * (high - low));

	for (int i = 0; i < SECTIONS; i++) {
		if (left.rest <= right.rest) {
			high = right.b;
			right = left;
			left = solve(q, high - ratio * (high - low));
		} else {
			low = left.b;
			left = right;
			right = solve(q, low + ratio * (high - low));
		}
	}
	return left.rest <= right.rest ? left : right;
}

static struct solution fit(const struct problem *q)
{
	struct solution best = solve(q, scan_b(0)), s;
	int at = 0;

	for (int i = 1; i < SCAN; i++)
		if ((s = solve(q, scan_b(i))).rest < best.rest) {
			best = s;
			at = i;
		}
	s = section(q, scan_b(MAX(at - 1, 0)), scan_b(MIN(at + 1, SCAN - 1)));
	return s.rest < best.rest ? s : best;
}

static void keep(const struct problem *q, const struct solution *s, double out[3])
{
	out[0] = s->a * pow(q->unit, s->b);
	out[1] = s->b;
	out[2] = s->c;
}

/* --- the band --- */

/* Standard error of each point as the bootstrap draws it, or false where nothing tells it. */
static bool find_errors(const struct problem *q, const struct solution *s, bool known, double *se)
{
	double degrees = (double)q->n - (q->no_floor ? 2 : 3), factor = 1;

	if (!known && degrees < 1)
		return false;
	if (degrees >= 1)
		factor = sqrt(s->rest / degrees);
	if (known)
		factor = fmax(factor, 1);
	for (size_t i = 0; i < q->n; i++)
		se[i] = factor / sqrt(q->weight[i]);
	return true;
}

static void draw(struct curve *c, const struct problem *q, const struct solution *s, const double *se, uint64_t seed)
{
	double *y = mem_array(q->n, sizeof(*y));
	struct problem again = *q;
	struct rng_key key = { seed, RNG_NOISE };

	again.y = y;
	c->draws = mem_array(DRAWS, sizeof(*c->draws));
	c->n_draws = DRAWS;
	for (uint32_t d = 0; d < DRAWS; d++) {
		for (size_t i = 0; i < q->n; i++)
			y[i] = s->a * pow(q->p[i].n / q->unit, -s->b) + s->c +
			       se[i] * (double)rng_normal(key, d, (uint32_t)i, 0);
		struct solution one = fit(&again);
		keep(q, &one, c->draws[d]);
	}
	mem_free(y);
}

/* --- what is asked of it --- */

static int check(const struct curve_point *p, size_t n, bool no_floor, bool *known, struct err *e)
{
	size_t different = 0;

	*known = true;
	for (size_t i = 0; i < n; i++) {
		bool seen = false;
		if (!(p[i].n > 0) || !isfinite(p[i].n) || !isfinite(p[i].err))
			return err_set(
				e,
				"a point of the learning curve is %g at %g: a finite error at more than 0 was wanted",
				p[i].err, p[i].n);
		for (size_t j = 0; j < i; j++)
			seen |= p[j].n == p[i].n;
		different += !seen;
		*known &= p[i].se > 0;
	}
	if (different < (no_floor ? 2 : 3))
		return err_set(e, "a learning curve needs points at %d different sizes, %zu are there",
		               no_floor ? 2 : 3, different);
	return 0;
}

int curve_fit(struct curve *c, const struct curve_point *p, size_t n, bool no_floor, uint64_t seed, struct err *e)
{
	bool known;
	double logs = 0;

	*c = (struct curve){ 0 };
	if (check(p, n, no_floor, &known, e) < 0)
		return -1;
	double *y = mem_array(n, sizeof(*y)), *weight = mem_array(n, sizeof(*weight)), *se = mem_array(n, sizeof(*se)),
	       mine[3];
	for (size_t i = 0; i < n; i++) {
		y[i] = p[i].err;
		weight[i] = known ? 1 / (p[i].se * p[i].se) : 1;
		logs += log(p[i].n);
	}
	struct problem q = { p, y, weight, n, exp(logs / (double)n), no_floor };
	struct solution s = fit(&q);
	keep(&q, &s, mine);
	c->a = mine[0];
	c->b = mine[1];
	c->c = mine[2];
	double degrees = (double)n - (no_floor ? 2 : 3);
	c->misfit = known && degrees >= 1 ? sqrt(s.rest / degrees) : NAN;
	c->has_band = find_errors(&q, &s, known, se);
	if (c->has_band)
		draw(c, &q, &s, se, seed);
	mem_free(y);
	mem_free(weight);
	mem_free(se);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

struct question { double from, to, value, cost; };

static double at(const double k[3], const struct question *q) { return k[0] * pow(q->to, -k[1]) + k[2]; }

static double gain(const double k[3], const struct question *q)
{
	return k[0] * (pow(q->from, -k[1]) - pow(q->to, -k[1]));
}

static double stop(const double k[3], const struct question *q)
{
	return pow(q->value * k[0] * k[1] / q->cost, 1 / (k[1] + 1));
}

/* The curve's own answer, and the middle 90 % of the draws'. */
static struct span ask(const struct curve *c, double (*f)(const double k[3], const struct question *q),
                       const struct question *q)
{
	double *x = mem_array(c->n_draws + 1, sizeof(*x));
	struct span s = span_exact(f((const double[]){ c->a, c->b, c->c }, q));

	for (size_t i = 0; i < c->n_draws; i++)
		x[i] = f(c->draws[i], q);
	qsort(x, c->n_draws, sizeof(*x), by_value);
	s.low = c->has_band ? fmin(s.mid, x[c->n_draws / 20]) : NAN;
	s.high = c->has_band ? fmax(s.mid, x[c->n_draws - 1 - c->n_draws / 20]) : NAN;
	mem_free(x);
	return s;
}

struct span curve_at(const struct curve *c, double n) { return ask(c, at, &(struct question){ .to = n }); }

struct span curve_gain(const struct curve *c, double from, double to)
{
	return ask(c, gain, &(struct question){ from, to, 0, 0 });
}

struct span curve_stop(const struct curve *c, double value, double cost)
{
	return ask(c, stop, &(struct question){ .value = value, .cost = cost });
}

void curve_release(struct curve *c)
{
	mem_free(c->draws);
	*c = (struct curve){ 0 };
}
