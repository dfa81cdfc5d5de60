/* contest: two models on the same samples: how far the second is above the first, and whether that is more than chance.
 *
 *     d_i = b_i − a_i                 d = mean, its error √(Σ (d_i − d)² / (n − 1) / n)
 *     clustered (Miller 2024)         √( Σ_c (Σ_{i in c} (d_i − d))² ) / n         samples of one cluster are
  * kin
 *     interval                        paired bootstrap of clusters, percentiles 2.5 and 97.5
 *     McNemar (1947), exact           of n1 + n2 samples that one alone has right: 2·P(X ≤ min), X ~ Bin(n1 + n2,
  * ½)
 *     smallest difference (Bloom 1995) (z_{0.975} + z_{0.8})·error: seen by 80 of 100 contests of this size
 *     decided (Waudby-Smith et al. 2024, asymptotic confidence sequence)
 *         after t samples, s their standard deviation:  |mean_t| > s·√( 2(tρ² + 1)/(t²ρ²)·log( √(tρ² +
  * 1)/0.05 ) )
 *
 * The sequence's bound holds at all t together, so whoever looks after each sample may stop when it excludes 0: t
 * counts from LEAST on, ρ is best at a fifth of the samples. The order is the samples' own and must not come from
  * their scores. */
#ifndef EVAL_CONTEST_H
#define EVAL_CONTEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTEST_LEAST = 30, CONTEST_DRAWS = 2000 };

struct contest {
	size_t n, clusters;
	double a, b, difference;       /* means, b less a */
	double stderr_, clustered;     /* of the difference; NAN of one */
	double low, high;              /* 95 %, bootstrap */
	double smallest;               /* difference that such a size shows */
	bool hits;                     /* all are 0 or 1: */
	size_t only_a, only_b;         /* right there alone */
	double mcnemar;                /* p; NAN where they are not hits */
	size_t decided;                /* after so many samples; 0: not */
};

/* cluster: [n] a number below n for each sample, or NULL: each is its own. */
struct contest contest(const double *a, const double *b, const size_t *cluster, size_t n, uint64_t seed);
/* The bound above of one mean. */
double contest_bound(double deviation, size_t t, size_t n);
/* After how many of n samples it was decided, of `of` that there are at most; 0: it was not. The bound is that of `of`,
 * so whoever goes on sample by sample asks with the same one. */
size_t contest_decided(const double *a, const double *b, size_t n, size_t of);
double contest_mcnemar(size_t only_a, size_t only_b);

#endif
