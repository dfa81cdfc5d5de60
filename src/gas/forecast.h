/* forecast: an interval around a prediction, from how far such predictions were off before.
 *
 * A prediction p comes with a scale σ(p): how far it may be off before anything was learnt (a share of p, and what
 * never is less, as the making of a process). Past runs of the same kind on the same machine give z = (actual −
 * predicted) / σ. The 90 % interval is
 *
 *     [p + σ·z₅, p + σ·z₉₅],  middle p + σ·z₅₀
 *
 * with quantiles of the last FORECAST_LAST z. From FORECAST_ENOUGH on they are the order statistics of rank 0.05 (n +
 * 1) and 0.95 (n + 1), between which the next one lies in 90 % of cases whatever the distribution, as long as runs are
 * exchangeable (conformal prediction: Vovk et al. 2005); between two ranks a straight line, so that the share neither
 * jumps nor is more than it says. It is never narrower than what differs between two processes that do the same
 * (noise), which errors within one process cannot teach. With fewer the prior
 * (z normal, deviation 1) counts as FORECAST_PRIOR runs more. It does not know that the machine is about to be busier
 * than it was. */
#ifndef GAS_FORECAST_H
#define GAS_FORECAST_H

#include "gas/economics.h"

enum { FORECAST_LAST = 100, FORECAST_PRIOR = 4, FORECAST_ENOUGH = 19 };

/* raw, as made before any correction; σ as it was then, 0: as scale has it; oldest first */
struct forecast_past { double predicted, actual, sigma; };
/* σ(p) = √((share·p)² + least²); noise: a deviation */
struct forecast_scale { double share, least, noise; };

extern const struct forecast_scale forecast_time, forecast_memory, forecast_energy;

double forecast_sigma(struct forecast_scale s, double predicted);
/* past may be NULL with n = 0. Entries that are not positive and finite are left out. */
struct span forecast(double predicted, double sigma, struct forecast_scale scale, const struct forecast_past *past,
                     size_t n);

#endif
