/* optim: AdamW (Loshchilov & Hutter 2019) in the order of torch.optim.AdamW, and the global norm.
 *
 *     w ← w·(1 − lr·λ)      m ← m + (1 − β₁)(g − m)      v ← β₂·v + (1 − β₂)·g²
 *     w ← w − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + ε)
 *
 * λ only where the parameter decays. The scalars are made in double once a step and rounded to float, as torch does for
 * float tensors. Work is cut into pieces of 64 Ki numbers of one parameter, so neither the update nor the norm depends
 * on threads; the norm is √ of the pieces' sums of squares, added in double in the order of the table. */
#include "train/optim.h"

#include <math.h>

#include "base/mem.h"

enum { OPTIM_PIECE = 65536 };

/* The pieces of all parameters, numbered through in table order: `first` of parameter i is where its pieces begin. */
static size_t pieces_of(const struct param *p)
{
	return (p->n + OPTIM_PIECE - 1) / OPTIM_PIECE;
}

/* Which numbers piece `piece` is, given that its parameter is found by walking the table. */
struct piece { const struct param *param; size_t at, n; };

static struct piece piece_find(const struct params *params, size_t piece)
{
	for (size_t i = 0; i < params->n_items; i++) {
		const struct param *p = &params->items[i];
		size_t have = pieces_of(p);
		if (piece < have)
			return (struct piece){ p, p->offset + piece * OPTIM_PIECE,
				               MIN(p->n - piece * OPTIM_PIECE, (size_t)OPTIM_PIECE) };
		piece -= have;
	}
	BUG("a piece beyond the parameters");
}

size_t optim_partials(const struct params *params)
{
	size_t n = 0;
	for (size_t i = 0; i < params->n_items; i++)
		n += pieces_of(&params->items[i]);
	return n;
}

struct norm_work {
	const struct kernels *k;
	const struct params *params;
	const float *g;
	double *partials;
};

static void norm_piece(void *ctx, size_t item, int thread)
{
	const struct norm_work *w = ctx;
	struct piece p = piece_find(w->params, item);
	(void)thread;
	w->partials[item] = w->k->sum_squares(w->g + p.at, p.n);
}

double optim_norm(const struct kernels *k, struct pool *p, const struct params *params, const float *g, double scale,
                  double *partials)
{
	struct norm_work w = { k, params, g, partials };
	size_t n = optim_partials(params);
	double sum = 0;

	pool_run(p, n, norm_piece, &w);
	for (size_t i = 0; i < n; i++)
		sum += partials[i];
	return fabs(scale) * sqrt(sum);
}

struct update_work {
	const struct kernels *k;
	const struct params *params;
	const struct adamw *o;
	const float *g;
	struct adamw_step plain, decayed;
};

static void update_piece(void *ctx, size_t item, int thread)
{
	const struct update_work *w = ctx;
	struct piece p = piece_find(w->params, item);
	(void)thread;
	w->k->adamw(w->params->w + p.at, w->g + p.at, w->o->m + p.at, w->o->v + p.at, p.n,
	            p.param->decay ? &w->decayed : &w->plain);
}

void adamw_update(const struct kernels *k, struct pool *p, const struct adamw *o, const struct params *params,
                  const float *g, double g_scale, double lr, long t)
{
	struct update_work w = { .k = k, .params = params, .o = o, .g = g };

	if (t < 1)
		BUG("AdamW's step %ld; they count from 1", t);
	w.plain = (struct adamw_step){
		.beta1 = (float)o->beta1,
		.beta2 = (float)o->beta2,
		.eps = (float)o->eps,
		.shrink = 1,
		.g_scale = (float)g_scale,
		.rest1 = (float)(1 - o->beta1),
		.rest2 = (float)(1 - o->beta2),
		.step = (float)(lr / (1 - pow(o->beta1, (double)t))),
		.inv_sqrt_bias2 = (float)(1 / sqrt(1 - pow(o->beta2, (double)t))),
	};
	w.decayed = w.plain;
	w.decayed.shrink = (float)(1 - lr * o->weight_decay);
	pool_run(p, optim_partials(params), update_piece, &w);
}
