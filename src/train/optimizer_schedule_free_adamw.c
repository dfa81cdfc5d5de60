/* optimizer_schedule_free_adamw: schedule-free AdamW (Defazio and others 2024), as facebook's AdamWScheduleFree: the
 * rate does not fall, and instead an average of the weights is what counts.
 *
 *     v ← β₂·v + (1 − β₂)·g²      d = g/(√(v/(1 − β₂ᵗ)) + ε) + λ·y
 *     c = lr_max² / Σ lr_max²      lr_max: the highest rate so far
 *     y ← y + c·(z − y) + lr·(β₁(1 − c) − 1)·d
 *     z ← z − lr·d
 *     x = y + (1 − 1/β₁)(z − y)      the average: evaluated, and kept as the result
 *
 * Gradients are taken at y, and w is y while the run goes on; z and v are the state, as much as AdamW's, with lr_max
 * and the sum of its squares in double. A step of rate 0 before any other moves nothing and has no part in x. */
#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { Z, V, RATES };

static const struct opt opts[] = {
	OPT_FLOAT("schedule-free-beta1", struct adamw_options, beta1, "0.9", 0.0001, 0.9999999,
	          "how much of the average is in the weights that gradients are taken at"),
	OPT_FLOAT("adam-beta2", struct adamw_options, beta2, "0.999", 0, 0.9999999,
	          "how slowly the second moment follows"),
	OPT_FLOAT("adam-epsilon", struct adamw_options, epsilon, "1e-8", 1e-30, 1, "added to the second moment's root"),
	OPT_END
};

static int state(const struct param *p, const void *options, struct optim_tensor *out)
{
	(void)options;
	out[Z] = optim_tensor_like(p, "z");
	out[V] = optim_tensor_like(p, "v");
	out[RATES] = (struct optim_tensor){ .name = "rates", .dtype = DTYPE_F64, .n_dims = 1, .dim = { 2 } };
	return 3;
}

/* rates: the highest, and the sum of the squares of what it was. */
static void begin(const struct optim_update *u)
{
	double *rates = u->state[RATES];

	rates[0] = MAX(rates[0], u->rate);
	rates[1] += rates[0] * rates[0];
}

static void update(const struct optim_update *u, size_t at, size_t n)
{
	const struct adamw_options *o = u->settings->options;
	const double *rates = u->state[RATES];
	double c = rates[1] > 0 ? rates[0] * rates[0] / rates[1] : 0;
	float *z = u->state[Z], *v = u->state[V], share = (float)c, scale = (float)u->g_scale;
	float by_y = (float)(u->rate * (o->beta1 * (1 - c) - 1)), by_z = (float)u->rate, decay = (float)u->decay;
	float beta2 = (float)o->beta2, rest2 = (float)(1 - o->beta2), eps = (float)o->epsilon,
	      bias = (float)(1 - pow(o->beta2, (double)u->t));

	if (u->t == 1)
		memcpy(z + at, u->w + at, n * sizeof(*z));
	for (size_t i = at; i < at + n; i++) {
		float g = u->g[i] * scale, y = u->w[i];
		v[i] = v[i] * beta2 + rest2 * g * g;
		float d = g / (sqrtf(v[i] / bias) + eps) + decay * y;
		u->w[i] = y + share * (z[i] - y) + by_y * d;
		z[i] -= by_z * d;
	}
}

static void averaged(const struct optim_update *u, size_t at, size_t n)
{
	const struct adamw_options *o = u->settings->options;
	float part = (float)(1 - 1 / o->beta1), *z = u->state[Z];

	for (size_t i = at; i < at + n; i++)
		u->w[i] += part * (z[i] - u->w[i]);
}

/* reads w, g, z, v and writes w, z, v */
static struct optim_cost cost(const struct param *p, const void *options)
{
	(void)options;
	return (struct optim_cost){ .flops = 18 * (double)p->n, .bytes = 7 * sizeof(float) * (double)p->n };
}

const struct optimizer optimizer_schedule_free_adamw = {
	.name = "schedule_free_adamw",
	.summary = "AdamW at a rate that does not fall; an average is the result",
	.rate = 1,
	.normalized = true,
	.schedule = "constant",
	.least = adamw_least,
	.opts = opts,
	.options_size = sizeof(struct adamw_options),
	.state = state,
	.begin = begin,
	.update = update,
	.averaged = averaged,
	.cost = cost,
};
