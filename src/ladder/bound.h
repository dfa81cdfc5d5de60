/* bound: what a number of rows can show of a score, looked at once or again and again. See bound.c for the formulas. */
#ifndef LADDER_BOUND_H
#define LADDER_BOUND_H

#include <stddef.h>

struct bounds {
	double low, high;
};

/* Of a sum of n values in 0…1, the interval that one look gives: each side holds with probability 1 − alpha. */
struct bounds bound_wilson(double sum, double n, double alpha);
/* The least whole number of n that must be right for Wilson's lower bound to reach the goal; n + 1: not even all. */
size_t bound_needed(size_t n, double goal, double alpha);
/* The chance that Wilson's lower bound of n_test other rows reaches the goal, after a sum of n values in 0…1. */
double bound_chance(double sum, double n, size_t n_test, double goal, double alpha);
/* The same of any mean with its standard error. */
double bound_mean_chance(double mean, double stderr_, double n, size_t n_test, double goal, double alpha);
/* Rows that show the goal with an even chance where the truth is `truth`, above it. */
double bound_rows(double truth, double goal, double alpha);
/* Of a sum of n values in 0…1, which may be looked at after every one of them: both sides together hold at all times
 * with probability 1 − alpha. 0…1 of none. */
struct bounds bound_sequence(double sum, double n, double alpha);
/* The same of any mean with its standard error from n values, for large n. */
struct bounds bound_mean_sequence(double mean, double stderr_, double n, double alpha);
double bound_z(double alpha); /* of a normal, one side */

#endif
