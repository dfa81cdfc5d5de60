/* scaling_law: what runs of several sizes and lengths say of larger ones.
 *
 *     L(N, D) = E + A/N^α + B/D^β          N: parameters, D: tokens, L: loss on held-out text
 *
 * fitted to the runs' losses as Hoffmann et al. 2022 (approach 3) do: the least sum of Huber's function (δ = 0.001)
 * of log L(N, D) − log L over the runs, by L-BFGS from a grid of beginnings, the best of which counts. Intervals are
 * of the bootstrap over runs, 95 %: each draw is fitted anew. α and β are held between 0.02 and 2: runs that say
 * nothing of one leave it there. With C = 6·N·D operations the least loss is at
 *
 *     N = G·(C/6)^(β/(α+β))      D = (C/6)/N      G = (α·A/(β·B))^(1/(α+β))
 *
 * It is an extrapolation: scaling_reach says how far. */
#ifndef LEARN_SCALING_LAW_H
#define LEARN_SCALING_LAW_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct scaling_point { double n, tokens, loss; };
struct scaling_law { double e, a, alpha, b, beta; };
struct scaling_range { double value, low, high; };

enum { SCALING_LEAST = 6, SCALING_DRAWS = 200 };

struct scaling_fit {
	struct scaling_law law;
	struct scaling_range e, a, alpha, b, beta;
	double error;                  /* root of the mean square of log L(N, D) − log L, over the runs */
	double flops;                  /* the largest 6·N·D of a run */
	struct scaling_law draw[SCALING_DRAWS];
	int n_draws;
};

/* −1: fewer runs than SCALING_LEAST, or all of one size or of one length, a loss that is none, or a stop was asked
 * for. The same seed gives the same intervals. */
int scaling_fit(struct scaling_fit *out, const struct scaling_point *points, size_t n, uint64_t seed, struct err *e);

double scaling_loss(const struct scaling_law *l, double n, double tokens);
void scaling_optimal(const struct scaling_law *l, double flops, double *n, double *tokens);

/* With intervals: the loss of a run; the best size and length for a budget of operations, and the loss there. */
struct scaling_range scaling_expect(const struct scaling_fit *f, double n, double tokens);
struct scaling_advice { struct scaling_range n, tokens, loss; };
struct scaling_advice scaling_advise(const struct scaling_fit *f, double flops);
/* How many times the operations of the largest run this is: beyond 10 nobody has checked it. */
double scaling_reach(const struct scaling_fit *f, double n, double tokens);

#endif
