/* contest: sums over clusters, drawn again by feedback/resample.h; the binomial's tail by logarithms of factorials. */
#include "eval/contest.h"

#include <math.h>

#include "base/mem.h"
#include "feedback/resample.h"

#define LEVEL 0.05

/* Sums of differences and counts of each cluster. */
struct clustered { double *sum; size_t *count; size_t n; };

static double mean_of_draw(const void *ctx, const uint32_t *times)
{
	const struct clustered *c = ctx;
	double sum = 0, n = 0;

	for (size_t k = 0; k < c->n; k++) {
		double w = times ? times[k] : 1;
		sum += w * c->sum[k];
		n += w * (double)c->count[k];
	}
	return n > 0 ? sum / n : NAN;
}

double contest_mcnemar(size_t only_a, size_t only_b)
{
	size_t n = only_a + only_b, least = MIN(only_a, only_b);
	double p = 0;

	for (size_t k = 0; k <= least; k++)
		p += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
		         (double)n * M_LN2);
	return fmin(1, 2 * p);
}

double contest_bound(double deviation, size_t t, size_t n)
{
	double when = fmax((double)n / 5, CONTEST_LEAST), log_level = -2 * log(LEVEL),
	       rho2 = (log_level + log(log_level + 1)) / when, x = (double)t * rho2 + 1;

	return deviation * sqrt(2 * x / ((double)t * (double)t * rho2) * log(sqrt(x) / LEVEL));
}

/* Over prefixes; mean and squares by Welford (1962). */
size_t contest_decided(const double *a, const double *b, size_t n, size_t of)
{
	double mean = 0, squares = 0;

	for (size_t i = 0; i < n; i++) {
		double d = b[i] - a[i], off = d - mean;
		mean += off / (double)(i + 1);
		squares += off * (d - mean);
		if (i + 1 >= CONTEST_LEAST && fabs(mean) > contest_bound(sqrt(squares / (double)i), i + 1, of))
			return i + 1;
	}
	return 0;
}

static double error_of(const double *a, const double *b, double d, size_t n)
{
	double squares = 0;

	for (size_t i = 0; i < n; i++)
		squares += (b[i] - a[i] - d) * (b[i] - a[i] - d);
	return n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : NAN;
}

static void count_hits(struct contest *c, const double *a, const double *b, size_t n)
{
	c->hits = true;
	for (size_t i = 0; i < n; i++) {
		c->hits &= (a[i] == 0 || a[i] == 1) && (b[i] == 0 || b[i] == 1);
		c->only_a += a[i] > b[i];
		c->only_b += b[i] > a[i];
	}
	c->mcnemar = c->hits ? contest_mcnemar(c->only_a, c->only_b) : NAN;
}


static struct clustered cluster(const double *a, const double *b, const size_t *of, size_t n)
{
	struct clustered c = { mem_array(n, sizeof(double)), mem_array(n, sizeof(size_t)), 0 };

	for (size_t i = 0; i < n; i++) {
		size_t k = of ? of[i] : i;
		c.sum[k] += b[i] - a[i];
		c.count[k]++;
		c.n = MAX(c.n, k + 1);
	}
	return c;
}

struct contest contest(const double *a, const double *b, const size_t *of, size_t n, uint64_t seed)
{
	struct clustered c = cluster(a, b, of, n);
	struct contest x = { .n = n, .clusters = c.n, .difference = mean_of_draw(&c, NULL) };
	double squares = 0;

	for (size_t i = 0; i < n; i++) {
		x.a += a[i] / (double)n;
		x.b += b[i] / (double)n;
	}
	for (size_t k = 0; k < c.n; k++) {
		double off = c.sum[k] - x.difference * (double)c.count[k];
		squares += off * off;
	}
	x.stderr_ = error_of(a, b, x.difference, n);
	x.clustered = c.n > 1 ? sqrt(squares) / (double)n : NAN;
	const struct resample how = { CONTEST_DRAWS, seed };
	struct bounds bounds = resample(mean_of_draw, &c, c.n, &how);
	x.low = bounds.low;
	x.high = bounds.high;
	x.smallest = (1.959963984540054 + 0.8416212335729143) * (of ? x.clustered : x.stderr_);
	count_hits(&x, a, b, n);
	x.decided = of && c.n < n ? 0 : contest_decided(a, b, n, n); /* kin are no independent samples */
	mem_free(c.sum);
	mem_free(c.count);
	return x;
}
