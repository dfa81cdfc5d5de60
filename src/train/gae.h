/* gae: advantages of the tokens of an answer (Schulman et al. 2015, High-Dimensional Continuous Control Using
 * Generalized Advantage Estimation), and whitening as TRL's PPOTrainer does it. */
#ifndef TRAIN_GAE_H
#define TRAIN_GAE_H

#include <stdbool.h>
#include <stddef.h>

/* δ_t = r_t + γ·V_{t+1} − V_t, nothing after the last; A_t = δ_t + γλ·A_{t+1}; returns_t = A_t + V_t */
void gae(const float *reward, const float *value, size_t n, double gamma, double lambda, float *advantage,
         float *returns);
/* Sums over numbers that are whitened together, in two rounds: their mean, then their variance (Bessel's). */
struct whitening { double n, mean, squares; };
void whitening_add(struct whitening *w, const float *x, size_t n);
void whitening_add_squares(struct whitening *w, const float *x, size_t n);
/* (x − mean)/√(variance + 1e-8); keep_mean: which is added again */
void whiten(const struct whitening *w, float *x, size_t n, bool keep_mean);

#endif
