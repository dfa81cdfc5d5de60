/* optimizer_adamw: AdamW (Loshchilov & Hutter 2019) in the order of torch.optim.AdamW.
 *
 *     w ← w·(1 − lr·λ)      m ← m + (1 − β₁)(g − m)      v ← β₂·v + (1 − β₂)·g²
 *     w ← w − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
 *
 * The decay λ is of matrices alone; cautious, it is of numbers whose new m and w have m·w ≥ 0. */
#include "train/optimizer.h"

static void update(const struct optim_update *u, size_t at, size_t n)
{
	const struct adamw_options *o = u->settings->options;
	struct adamw_step s = adamw_scalars(u, o, u->rate);

	adamw_update(u->kernels, o, &s, u->w + at, u->g + at, (float *)u->state[0] + at, (float *)u->state[1] + at, n);
}

static const char *const also[] = { "adamw_torch", "adamw_torch_fused", "adamw_hf", NULL };

const struct optimizer optimizer_adamw = {
	.name = "adamw",
	.summary = "two moments in f32",
	.also = also,
	.standard = true,
	.rate = 1,
	.normalized = true,
	.least = adamw_least,
	.opts = adamw_opts,
	.options_size = sizeof(struct adamw_options),
	.state = adamw_state,
	.update = update,
	.cost = adamw_cost,
};
