/* bound: intervals of one look, and intervals that stay true however often one looks.
 *
 * One look, at test: Wilson's (1927) interval of a share p̂ of n, z of one side,
 *
 *     ( p̂ + z²/2n ± z·√( p̂(1−p̂)/n + z²/4n² ) ) / ( 1 + z²/n )
 *
 * Before the test: after a sum s of n, f = n − s, the mean is ~ Beta(½ + s, ½ + f) (Jeffreys), and so the chance
 * that k of m test rows are right is
 *
 *     C(m, k)·B(½ + s + k, ½ + f + m − k) / B(½ + s, ½ + f)
 *
 * summed over the k whose bound reaches the goal. Of another mean x with its error e from n values, the test's is
 * ~ N(x, e²(1 + n/m)), and its bound z·e·√(n/m) below it.
 *
 * Many looks, at choose: a confidence sequence (Robbins 1970; Howard et al. 2021). Of values in 0…1 with sum s and
 * f = n − s, the likelihood ratio of the mixture over all means q ~ Beta(½, ½) against the mean p,
 *
 *     M(p) = B(½ + s, ½ + f) / ( B(½, ½) · p^s · (1 − p)^f )
 *
 * is a test martingale where p is the mean of zeros and ones, and a supermartingale of any values in 0…1, since its
 * factors are convex in the value. By Ville's inequality it ever reaches 1/α with probability α at most, so { p :
 * M(p) < 1/α } holds p at all times at once: whoever looks after each row, and stops when it suits, is not misled.
 *
 * Of another mean, with its standard error σ/√n, the asymptotic sequence of Waudby-Smith et al. (2021):
 *
 *     mean ± σ·√( 2(nρ² + 1)/(n²ρ²) · ln(√(nρ² + 1)/α) )
 *     ρ² = (−2·ln α + ln(−2·ln α) + 1) / 100
 *
 * narrowest near 100 values. It says nothing of the rows that one has not drawn at random. */
#include "ladder/bound.h"

#include <math.h>

#include "base/mem.h"

enum { NARROW_AT = 100, HALVINGS = 60 };

/* By bisection of the normal's upper tail, ½·erfc(z/√2) = alpha. */
double bound_z(double alpha)
{
	double low = -40, high = 40;

	for (int i = 0; i < 2 * HALVINGS; i++) {
		double z = (low + high) / 2;
		if (erfc(z / sqrt(2)) / 2 > alpha)
			low = z;
		else
			high = z;
	}
	return (low + high) / 2;
}

struct bounds bound_wilson(double sum, double n, double alpha)
{
	double z = bound_z(alpha), p = sum / n, zz = z * z / n;

	if (!(n > 0))
		return (struct bounds){ 0, 1 };
	double half = z * sqrt(fmax(p * (1 - p), 0) / n + zz / 4 / n);
	return (struct bounds){ fmax(0, (p + zz / 2 - half) / (1 + zz)), fmin(1, (p + zz / 2 + half) / (1 + zz)) };
}

size_t bound_needed(size_t n, double goal, double alpha)
{
	size_t low = 0, high = n + 1; /* the bound rises with what is right */

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (bound_wilson((double)middle, (double)n, alpha).low >= goal)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static double log_beta(double a, double b) { return lgamma(a) + lgamma(b) - lgamma(a + b); }

double bound_chance(double sum, double n, size_t n_test, double goal, double alpha)
{
	double a = 0.5 + sum, b = 0.5 + n - sum, m = (double)n_test, p = 0;

	for (size_t k = bound_needed(n_test, goal, alpha); k <= n_test; k++)
		p += exp(log_beta(a + (double)k, b + m - (double)k) - log_beta(a, b) + lgamma(m + 1) -
		         lgamma((double)k + 1) - lgamma(m - (double)k + 1));
	return fmin(p, 1);
}

double bound_mean_chance(double mean, double stderr_, double n, size_t n_test, double goal, double alpha)
{
	double test = stderr_ * sqrt(n / (double)n_test), spread = hypot(stderr_, test);

	if (!isfinite(spread))
		return 0;
	return spread > 0 ? erfc((goal + bound_z(alpha) * test - mean) / spread / sqrt(2)) / 2 : mean >= goal;
}

double bound_rows(double truth, double goal, double alpha)
{
	double z = bound_z(alpha);

	return z * z * truth * (1 - truth) / ((truth - goal) * (truth - goal));
}

/* ln M(p); infinite where p cannot have given s and f. */
static double log_ratio(double s, double f, double p)
{
	double mixture = lgamma(0.5 + s) + lgamma(0.5 + f) - lgamma(1 + s + f) - log(M_PI);

	if ((p <= 0 && s > 0) || (p >= 1 && f > 0))
		return INFINITY;
	return mixture - (s > 0 ? s * log(p) : 0) - (f > 0 ? f * log1p(-p) : 0);
}

/* Between `in`, which the sequence holds, and `out`: ln M is convex, so there is one place where it passes. */
static double edge(double s, double f, double in, double out, double limit)
{
	if (log_ratio(s, f, out) < limit)
		return out;
	for (int i = 0; i < HALVINGS; i++) {
		double p = (in + out) / 2;
		if (log_ratio(s, f, p) < limit)
			in = p;
		else
			out = p;
	}
	return out;
}

struct bounds bound_sequence(double sum, double n, double alpha)
{
	double p = sum / n, limit = -log(alpha);

	if (!(n > 0))
		return (struct bounds){ 0, 1 };
	return (struct bounds){ edge(sum, n - sum, p, 0, limit), edge(sum, n - sum, p, 1, limit) };
}

struct bounds bound_mean_sequence(double mean, double stderr_, double n, double alpha)
{
	double l = -2 * log(alpha), rho2 = (l + log(l) + 1) / NARROW_AT, m = n * rho2 + 1;
	double half = stderr_ * sqrt(n) * sqrt(2 * m / (n * n * rho2) * log(sqrt(m) / alpha));

	if (!(n > 1) || !isfinite(stderr_))
		return (struct bounds){ -INFINITY, INFINITY };
	return (struct bounds){ mean - half, mean + half };
}
