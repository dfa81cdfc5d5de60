/* resample: how far a number that was counted from labels may be off, by the bootstrap (Efron 1979): units are drawn
 * with replacement as often as there are units, the number is counted again, and of many such draws the middle 95 % is
 * the interval. What is drawn is what is independent: an item with all that was said of it, never a single label. */
#ifndef FEEDBACK_RESAMPLE_H
#define FEEDBACK_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

struct bounds { double value, low, high; };     /* a number and its 95 % interval; NAN: the labels do not tell */

struct resample {
	int draws;                              /* 0: no interval */
	uint64_t seed;
};

/* times[n]: how often each of n units is in draw i. */
void resample_times(uint32_t *times, size_t n, uint64_t seed, int i);
/* The interval of draws (sorted here), those that are NAN left out. */
struct bounds resample_bounds(double value, double *draws, size_t n);
/* All of it: count(ctx, times) is the number of units taken so often; times NULL: each once. */
struct bounds resample(double (*count)(const void *ctx, const uint32_t *times), const void *ctx, size_t n_units,
                       const struct resample *r);
/* Of ascending order, for qsort. */
int by_number(const void *a, const void *b);
/* The middle of n numbers, which are sorted; NAN of none. */
double median(double *x, size_t n);
/* The p-quantile of n ascending numbers, linear between neighbours; NAN of none. */
double quantile(const double *x, size_t n, double p);

#endif
