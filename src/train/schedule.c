/* schedule: learning rate over peak, step by step, with the formulas of transformers' optimization.py.
 *
 * With W warm-up steps, T steps, D decay steps, S a timescale and m the final ratio:
 *     warm-up        step/W                                  wsd: m + (1 − m)·step/W
 *     linear         (T − step)/(T − W)
 *     polynomial     (1 − (step − W)/(T − W))^power
 *     cosine         ½(1 + cos(π·(step − W)/(T − W)))
 *     constant       1
 *     inverse_sqrt   1/√((step + S − W)/S)
 *     wsd            1 until T − D, then with q = (step − (T − D))/D one of
 *                    ½(1 + cos(π·q)),  1 − q,  1 − √q;  then 0
 * and where m > 0 the falling part is m + (1 − m)·factor (cosine_with_min_lr, and polynomial's lr_end, which is m of
 * the peak; linear and inverse_sqrt likewise, which have no such end in transformers). */
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

static double inverse_sqrt(const struct schedule *s, long step)
{
	long scale = s->timescale > 0 ? s->timescale : s->warmup_steps > 0 ? s->warmup_steps : 10000;

	return 1 / sqrt(ratio(step + scale - s->warmup_steps, scale));
}

static double decayed(const struct schedule *s, double progress)
{
	if (!s->decay || !strcmp(s->decay, "cosine"))
		return half_cosine(progress);
	if (!strcmp(s->decay, "linear"))
		return 1 - progress;
	if (!strcmp(s->decay, "1-sqrt"))
		return 1 - sqrt(progress);
	BUG("a decay %s", s->decay);
}

static double stable_decay(const struct schedule *s, long step)
{
	long stable_end = MAX(s->warmup_steps, s->steps - s->decay_steps);

	if (step < stable_end)
		return 1;
	return step < stable_end + s->decay_steps ? floored(s, decayed(s, ratio(step - stable_end, s->decay_steps))) :
	                                            s->min_ratio;
}

double schedule_factor(const struct schedule *s, long step)
{
	const char *type = s->type;
	bool wsd = !strcmp(type, "wsd") || !strcmp(type, "warmup_stable_decay");
	double done = MIN(1.0, ratio(step - s->warmup_steps, s->steps - s->warmup_steps));

	if (step < s->warmup_steps)
		return wsd ? floored(s, ratio(step, s->warmup_steps)) : ratio(step, s->warmup_steps);
	if (wsd)
		return stable_decay(s, step);
	if (!strcmp(type, "constant") || !strcmp(type, "constant_with_warmup"))
		return 1;
	if (!strcmp(type, "linear"))
		return floored(s, MAX(0.0, ratio(s->steps - step, s->steps - s->warmup_steps)));
	if (!strcmp(type, "cosine") || !strcmp(type, "cosine_with_min_lr"))
		return floored(s, half_cosine(done));
	if (!strcmp(type, "polynomial"))
		return floored(s, pow(1 - done, s->power > 0 ? s->power : 1));
	if (!strcmp(type, "inverse_sqrt"))
		return floored(s, inverse_sqrt(s, step));
	BUG("a schedule %s", type);
}
