/* economics: what a cost is once it is spread over uses, and who is cheaper when. Pure arithmetic: no clock, no file,
 * no unit; whoever calls says whether a number is joules, seconds or money. doc/gas.md has every definition with a
 * worked example that `make check` executes.
 *
 *     total      C(u) = fixed + per_use · u
 *     amortised  C(u) / u
 *     break-even u* = (fixed_b − fixed_a) / (per_use_a − per_use_b)
 *     opportunity  (err_before − err_after) · min(1, gas / cost): what another thing's share of this gas bought
 *     scale      C = k · q^elasticity; below 1: twice as much costs less than twice as much */
#ifndef GAS_ECONOMICS_H
#define GAS_ECONOMICS_H

#include <stdbool.h>
#include <stddef.h>

/* A number with its 90 % interval; low = mid = high where it is known exactly, NAN where nothing is known. */
struct span { double mid, low, high; };

#define SPAN_Z 1.6448536269514722  /* of a normal's middle 90 % */

struct span span_exact(double x);
struct span span_error(double mid, double standard_error);      /* a normal's interval */
/* n ≥ 1: Student's interval of their mean; exact for one */
struct span span_mean(const double *x, size_t n);
/* the same of x > 0 in the logarithm: their geometric mean; stays above 0 */
struct span span_geometric(const double *x, size_t n);
/* the standard error that such an interval would have */
double span_sigma(struct span s);
/* of independent numbers: the errors add as squares, each side alone */
struct span span_add(struct span a, struct span b);
struct span span_scale(struct span s, double by);               /* by ≥ 0 */

struct cost_line { struct span fixed, per_use; };

struct span cost_total(const struct cost_line *c, double uses);
struct span cost_amortised(const struct cost_line *c, double uses);  /* uses > 0 */

enum cheaper { CHEAPER_A, CHEAPER_B, CHEAPER_NEITHER };

struct break_even {
	bool crosses;              /* both are cheaper somewhere at uses ≥ 0 */
	/* where, when crosses; low may be 0 and high infinite: then the intervals do not exclude that one is always
	 * cheaper */
	struct span uses;
	enum cheaper few, many;    /* who is cheaper before and after; the same when it does not cross */
};

/* The interval is Fieller's (1954) for the ratio of two independent normal differences: asymmetric, and open where the
 * slopes cannot be told apart. */
struct break_even break_even(const struct cost_line *a, const struct cost_line *b);

/* How much the error fell elsewhere for as much gas: a thing of this cost lowered it from before to after; half of the
 * gas buys half, more buys no more. */
struct span opportunity(struct span before, struct span after, double cost, double gas);

enum front {
	FRONT_ON,                  /* nothing is both better and cheaper */
	FRONT_UNSURE,              /* something is, but an interval overlaps */
	FRONT_OFF,                 /* something is, and no interval overlaps */
};
struct offer { struct span quality, cost; };

/* out[n]; more quality is better, less cost is better. */
void pareto(const struct offer *offers, size_t n, enum front *out);

/* Cost elasticity of n ≥ 3 measured pairs by least squares in logarithms (exact numbers, no interval, for 2); NAN
 * where x does not vary. */
struct span scale_elasticity(const double *quantity, const double *cost, size_t n);

#endif
