/* economics: sums, quotients and break-even of figures that are intervals. Intervals of independent numbers are
 * combined as errors of normals are, each side of the middle alone, so an asymmetric interval stays asymmetric;
 * only break-even takes them for symmetric, which Fieller's formula needs. */
#include "gas/economics.h"

#include <math.h>

#include "base/err.h"

struct span span_exact(double x) { return (struct span){ x, x, x }; }

struct span span_error(double mid, double standard_error)
{
	return (struct span){ mid, mid - SPAN_Z * standard_error, mid + SPAN_Z * standard_error };
}

/* Student's t for the middle 90 % at `degrees` ≥ 1: Hill's (1970) expansion about the normal, exact for 1 and 2. */
static double student_90(double degrees)
{
	double z = SPAN_Z, zz = z * z;

	if (degrees < 1.5)
		return 6.313751514675043;
	if (degrees < 2.5)
		return 2.919985580353726;
	return z + z * (zz + 1) / 4 / degrees + z * (5 * zz * zz + 16 * zz + 3) / 96 / (degrees * degrees) +
	       z * (3 * zz * zz * zz + 19 * zz * zz + 17 * zz - 15) / 384 / (degrees * degrees * degrees);
}

static double same(double x) { return x; }

static struct span mean_of(const double *x, size_t n, double (*f)(double))
{
	double mean = 0, rest = 0;

	for (size_t i = 0; i < n; i++)
		mean += f(x[i]) / (double)n;
	if (n < 2)
		return span_exact(mean);
	for (size_t i = 0; i < n; i++)
		rest += (f(x[i]) - mean) * (f(x[i]) - mean);
	double half = student_90((double)n - 1) * sqrt(rest / (double)(n - 1) / (double)n);
	return (struct span){ mean, mean - half, mean + half };
}

struct span span_mean(const double *x, size_t n) { return mean_of(x, n, same); }

struct span span_geometric(const double *x, size_t n)
{
	struct span s = mean_of(x, n, log);
	return (struct span){ exp(s.mid), exp(s.low), exp(s.high) };
}

double span_sigma(struct span s) { return (s.high - s.low) / (2 * SPAN_Z); }

struct span span_add(struct span a, struct span b)
{
	double mid = a.mid + b.mid;
	return (struct span){ mid, mid - hypot(a.mid - a.low, b.mid - b.low),
		              mid + hypot(a.high - a.mid, b.high - b.mid) };
}

struct span span_scale(struct span s, double by)
{
	if (by < 0)
		BUG("a span scaled by %g", by);
	return (struct span){ s.mid * by, s.low * by, s.high * by };
}

struct span cost_total(const struct cost_line *c, double uses)
{
	return span_add(c->fixed, span_scale(c->per_use, uses));
}

struct span cost_amortised(const struct cost_line *c, double uses)
{
	return span_scale(cost_total(c, uses), 1 / uses);
}

/* --- break-even --- */

/* The u ≥ 0 with (N − u·D)² ≤ z²(σN² + u²σD²). */
static struct span fieller(double n, double d, double sigma_n, double sigma_d)
{
	double u = n / d, zz = SPAN_Z * SPAN_Z;

	if (!(sigma_n > 0) && !(sigma_d > 0)) /* costs without intervals: the root below would be of roundings */
		return span_exact(u);
	double a = d * d - zz * sigma_d * sigma_d, b = n * d, c = n * n - zz * sigma_n * sigma_n;
	double root = sqrt(fmax(0, b * b - a * c));

	if (a > 0)
		return (struct span){ u, fmax(0, (b - root) / a), fmax(0, (b + root) / a) };
	/* The slope may be 0 or of the other sign: no upper end. What lies below the smaller positive root is excluded
	 * still. */
	double low = a < 0 ? (b - root) / a : c / (2 * b);
	double other = a < 0 ? (b + root) / a : low;
	low = fmin(low, other) > 0 ? fmin(low, other) : fmax(low, other);
	return (struct span){ u, c > 0 && low > 0 && low <= u ? low : 0, INFINITY };
}

static enum cheaper cheaper_of(double a, double b)
{
	return a < b ? CHEAPER_A : b < a ? CHEAPER_B : CHEAPER_NEITHER;
}

struct break_even break_even(const struct cost_line *a, const struct cost_line *b)
{
	double n = b->fixed.mid - a->fixed.mid, d = a->per_use.mid - b->per_use.mid;
	struct break_even r = { .few = cheaper_of(a->fixed.mid, b->fixed.mid),
		                .many = cheaper_of(a->per_use.mid, b->per_use.mid) };

	if (r.few == CHEAPER_NEITHER)
		r.few = r.many;
	if (r.many == CHEAPER_NEITHER)
		r.many = r.few;
	r.crosses = r.few != r.many;
	r.uses = (struct span){ NAN, NAN, NAN };
	if (r.crosses)
		r.uses = fieller(n, d, hypot(span_sigma(a->fixed), span_sigma(b->fixed)),
		                 hypot(span_sigma(a->per_use), span_sigma(b->per_use)));
	return r;
}

struct span opportunity(struct span before, struct span after, double cost, double gas)
{
	struct span fell = span_add(before, (struct span){ -after.mid, -after.high, -after.low });
	return span_scale(fell, fmin(1, gas / cost));
}

/* --- Pareto --- */

static bool beats(const struct offer *a, const struct offer *b)
{
	bool no_worse = a->quality.mid >= b->quality.mid && a->cost.mid <= b->cost.mid;
	return no_worse && (a->quality.mid > b->quality.mid || a->cost.mid < b->cost.mid);
}

static bool surely_beats(const struct offer *a, const struct offer *b)
{
	return beats(a, b) && a->quality.low >= b->quality.high && a->cost.high <= b->cost.low;
}

void pareto(const struct offer *offers, size_t n, enum front *out)
{
	for (size_t i = 0; i < n; i++) {
		out[i] = FRONT_ON;
		for (size_t j = 0; j < n && out[i] != FRONT_OFF; j++)
			if (surely_beats(&offers[j], &offers[i]))
				out[i] = FRONT_OFF;
			else if (beats(&offers[j], &offers[i]))
				out[i] = FRONT_UNSURE;
	}
}

/* --- scale --- */

struct span scale_elasticity(const double *quantity, const double *cost, size_t n)
{
	double mx = 0, my = 0, xx = 0, xy = 0, rest = 0;

	for (size_t i = 0; i < n; i++) {
		mx += log(quantity[i]) / (double)n;
		my += log(cost[i]) / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		xx += (log(quantity[i]) - mx) * (log(quantity[i]) - mx);
		xy += (log(quantity[i]) - mx) * (log(cost[i]) - my);
	}
	if (n < 2 || !(xx > 0))
		return span_exact(NAN);
	double slope = xy / xx;
	for (size_t i = 0; i < n; i++) {
		double off = log(cost[i]) - my - slope * (log(quantity[i]) - mx);
		rest += off * off;
	}
	if (n < 3)
		return span_exact(slope);
	double half = student_90((double)n - 2) * sqrt(rest / (double)(n - 2) / xx);
	return (struct span){ slope, slope - half, slope + half };
}
