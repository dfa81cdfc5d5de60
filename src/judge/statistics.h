/* statistics: a score with its error. Standard error of a mean as lm-eval: sample standard deviation ÷ √n. */
#ifndef JUDGE_STATISTICS_H
#define JUDGE_STATISTICS_H

#include <stddef.h>

struct estimate { double mean, stderr_, low, high; size_t n; }; /* 95 % interval: Wilson's for 0/1 values, mean ± 1.96·stderr else */
struct estimate estimate_mean(const double *x, size_t n);
struct estimate estimate_proportion(const double *x, size_t n);  /* x is 0 or 1 */

#endif
