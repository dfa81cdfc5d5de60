/* calibrate: what a prompt itself makes of labels, taken out of what a model says of rows. All rows have the same K
 * choices; p(y | x) are their probabilities among each other.
 *
 *     p(y | x)    = exp(Σ log p of y's tokens) / Σ over the choices of the same
 *     contextual    prior(y) = mean over content-free inputs c of p(y | c), of sum 1; q = W·p + b with
 *                   W = diag(prior)⁻¹, b = 0 (Zhao et al. 2021, Calibrate Before Use, eq. 1 and 2)
 *     batch         prior(y) = mean over the rows x of p(y | x); log q = log p − log prior
 *                   (Zhou et al. 2023, Batch Calibration, eq. 4 and 5)
 *
 * The answer is the largest q, of equals the first. What is told as probabilities are q of sum 1. */
#ifndef EVAL_CALIBRATE_H
#define EVAL_CALIBRATE_H

#include <stddef.h>

enum calibration { CALIBRATE_NONE, CALIBRATE_CONTEXTUAL, CALIBRATE_BATCH };

/* Of one row: p of sum 1 from log-probabilities. */
void calibrate_softmax(const double *logprob, size_t n_choices, double *p);
/* The mean of n rows of p, of sum 1: of content-free inputs, or of the batch. */
void calibrate_prior(const double *p, size_t n, size_t n_choices, double *prior);
/* q of sum 1; which choice is the largest. */
size_t calibrate_row(const double *p, const double *prior, size_t n_choices, double *q);

#endif
