/* statistics: a score with its error. Standard error of a mean as lm-eval: sample standard deviation ÷ √n.
 * What a sample cannot tell (the mean of none, the error of one) is NAN. */
#ifndef EVAL_STATISTICS_H
#define EVAL_STATISTICS_H

#include <stddef.h>

/* 95 % interval: Wilson's for 0/1 values, mean ± 1.96·stderr else */
struct estimate { double mean, stderr_, low, high; size_t n; };
struct estimate estimate_mean(const double *x, size_t n);
/* The same of few draws: Student's interval. */
struct estimate estimate_few(const double *x, size_t n);
struct estimate estimate_proportion(const double *x, size_t n);  /* x is 0 or 1 */
struct estimate estimate_share(size_t hits, size_t n);           /* the same of so many ones */
/* exp(−Σ sum / Σ count): a perplexity of n texts with sum[i] = Σ log p of count[i] tokens. Texts, not tokens, are
 * the independent draws, so the error is that of a ratio of means (linearized), and the interval is symmetric in the
 * logarithm. n is of texts. */
struct estimate estimate_perplexity(const double *sum, const double *count, size_t n);
/* The same of two perplexities of the same texts, which may be below 1: gained[i] is the second's Σ log p less the
 * first's. */
struct estimate estimate_perplexity_ratio(const double *gained, const double *count, size_t n);

#endif
