/* schedule: learning rate over peak, step by step, with the formulas of transformers' optimization.py.
 *
 * With W warm-up steps, T steps, D decay steps and m the final ratio:
 *     warm-up    step/W                                      wsd: m + (1 − m)·step/W
 *     linear     (T − step)/(T − W)
 *     cosine     ½(1 + cos(π·(step − W)/(T − W)))
 *     constant   1
 *     wsd        1 until T − D, then ½(1 + cos(π·(step − (T − D))/D)), then 0
 * and where m > 0 the falling part is m + (1 − m)·factor (cosine_with_min_lr; linear likewise). */
#include "train/schedule.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

static double ratio(long a, long b)
{
	return (double)a / (double)MAX(1L, b);
}

static double half_cosine(double progress)
{
	return MAX(0.0, 0.5 * (1 + cos(M_PI * progress)));
}

static double floored(const struct schedule *s, double factor)
{
	return factor * (1 - s->min_ratio) + s->min_ratio;
}

double schedule_factor(const struct schedule *s, long step)
{
	bool wsd = strcmp(s->type, "wsd") == 0;

	if (step < s->warmup_steps)
		return wsd ? floored(s, ratio(step, s->warmup_steps)) : ratio(step, s->warmup_steps);
	if (strcmp(s->type, "constant") == 0)
		return 1;
	if (strcmp(s->type, "linear") == 0)
		return floored(s, MAX(0.0, ratio(s->steps - step, s->steps - s->warmup_steps)));
	if (strcmp(s->type, "cosine") == 0)
		return floored(s, half_cosine(MIN(1.0, ratio(step - s->warmup_steps, s->steps - s->warmup_steps))));
	if (!wsd)
		BUG("a schedule %s", s->type);
	long stable_end = MAX(s->warmup_steps, s->steps - s->decay_steps);
	if (step < stable_end)
		return 1;
	return step < stable_end + s->decay_steps ? floored(s, half_cosine(ratio(step - stable_end, s->decay_steps))) :
	                                            s->min_ratio;
}
