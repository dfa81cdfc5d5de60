/* optimizer_lion: Lion (Chen and others 2023): every number moves by the learning rate, in the direction of the sign of
 * its momentum.
 *
 *     w ← w·(1 − lr·λ)      w ← w − lr·sign(β₁·m + (1 − β₁)·g)
 *     m ← β₂·m + (1 − β₂)·g
 *
 * sign(0) is 0. One number of state a weight, half of AdamW's. A step is larger than AdamW's at the same rate, so
 * the authors ask for a rate 3 to 10 times as low, and a decay as much higher. */
#include "train/optimizer.h"

struct options {
	double beta1, beta2;
	bool cautious;
};

static const struct opt opts[] = {
	OPT_FLOAT("lion-beta1", struct options, beta1, "0.9", 0, 0.9999999, "of the momentum that gives the sign"),
	OPT_FLOAT("lion-beta2", struct options, beta2, "0.99", 0, 0.9999999, "how slowly the momentum follows"),
	CAUTIOUS_OPT(struct options, cautious),
	OPT_END
};

static int state(const struct param *p, const void *options, struct optim_tensor *out)
{
	(void)options;
	out[0] = optim_tensor_like(p, "m");
	return 1;
}

static float sign_of(float x) { return (float)((x > 0) - (x < 0)); }

static void update(const struct optim_update *u, size_t at, size_t n)
{
	const struct options *o = u->settings->options;
	float beta1 = (float)o->beta1, rest1 = (float)(1 - o->beta1), beta2 = (float)o->beta2,
	      rest2 = (float)(1 - o->beta2), scale = (float)u->g_scale, rate = (float)u->rate;
	float shrink = (float)(1 - u->rate * u->decay), *m = u->state[0];

	for (size_t i = at; i < at + n; i++) {
		float g = u->g[i] * scale, step = sign_of(m[i] * beta1 + g * rest1), w = u->w[i];
		float kept = o->cautious && step * w < 0 ? w : w * shrink;
		u->w[i] = kept - rate * step;
		m[i] = m[i] * beta2 + g * rest2;
	}
}

/* reads w, g, m and writes w, m */
static struct optim_cost cost(const struct param *p, const void *options)
{
	(void)options;
	return (struct optim_cost){ .flops = 10 * (double)p->n, .bytes = 5 * sizeof(float) * (double)p->n };
}

static const char *const also[] = { "lion_32bit", "paged_lion_32bit", NULL };

const struct optimizer optimizer_lion = {
	.name = "lion",
	.summary = "by the sign of one momentum",
	.also = also,
	.rate = 0.2,
	.normalized = true,
	.opts = opts,
	.options_size = sizeof(struct options),
	.state = state,
	.update = update,
	.cost = cost,
};
