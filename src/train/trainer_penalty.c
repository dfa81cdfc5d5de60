/* trainer_penalty: what holds trained numbers to where they began, and how fast the layers learn.
 *
 *     loss = the objective's + ½·Σ_i (l2 + ewc·F_i)·(w_i − w0_i)²     l2: --l2-sp, ewc: --ewc, w0: the start
 *     F_i = mean over documents of (∂ Σ log p(token) / ∂ w_i)²        at w0, of FISHER_DOCUMENTS of --retain
 *
 * L2-SP is Li et al. 2018 (Explicit Inductive Bias for Transfer Learning), whose α is ours and whose β, of numbers
 * that are new, is 0 (a head that classes have made of the model); EWC is Kirkpatrick et al. 2017, with the empirical
 * Fisher information of the rows that shall not be forgotten, of documents as they are written. The numbers are those
 * that are trained: of an adapter its own. Both enter before the clip, and the loss that is told has them. w0 and F
 * are made at the start, by a resumed run again from the same weights: no state, the same bits.
 *
 *     rate of a parameter = the run's · decay^(L + 1 − depth)            decay: --layer-lr-decay
 *
 * depth: 0 of embeddings and what stands before them (virtual tokens and what makes them), i + 1 of block i, L + 1 of
 * what follows the blocks; as timm's param_groups_layer_decay and BEiT (Bao et al. 2022) count. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "train/trainer_parts.h"

enum { FISHER_DOCUMENTS = 256, PIECE = 65536, FLOPS = 8 };

static bool has_penalty(const struct trainer *t) { return t->recipe.l2_sp > 0 || t->recipe.ewc > 0; }
static size_t flat_bytes(const struct trainer *t) { return t->params->n * sizeof(float); }
static size_t pieces(const struct trainer *t) { return (t->params->n + PIECE - 1) / PIECE; }

/* --- the plan --- */

/* A document that Fisher's information is of: of a row with choices the gold one. */
static bool is_counted(const struct document *d) { return d->choice < 0 || d->gold; }

static size_t fisher_documents(const struct trainer *t, const struct document **out)
{
	size_t n = 0;

	for (size_t i = 0; i < t->retain.documents.n && n < FISHER_DOCUMENTS; i++)
		if (is_counted(&t->retain.documents.items[i]))
			out[n++] = &t->retain.documents.items[i];
	return n;
}

size_t penalty_bytes(const struct trainer *t)
{
	return has_penalty(t) ? flat_bytes(t) * (t->recipe.ewc > 0 ? 2 : 1) : 0;
}

struct optim_cost penalty_cost(const struct trainer *t)
{
	double n = has_penalty(t) ? (double)t->params->n : 0;

	return (struct optim_cost){ FLOPS * n, (t->recipe.ewc > 0 ? 5.0 : 4.0) * sizeof(float) * n };
}

/* Each document is a micro-batch by itself. */
double penalty_reserve(const struct trainer *t, struct batch_cap *cap)
{
	const struct document *docs[FISHER_DOCUMENTS];
	struct batch_cap need;
	struct live live, sum = { 0 };
	int64_t tokens;

	if (!(t->recipe.ewc > 0))
		return 0;
	size_t n = fisher_documents(t, docs);
	for (size_t i = 0; i < n; i++) {
		forest_take(&docs[i], 1, &t->forest, &need, &live, &tokens);
		need.columns = cap->columns;
		batch_cap_max(cap, &need);
		live_add(&sum, &live, 1);
	}
	return sum.rows;
}

/* --- the start --- */

static int add_document(struct trainer *t, const struct document *d, double share, struct err *e)
{
	struct batch *b = &t->net.pass.batch;
	float *g = grad_tree_leaf(&t->gradients), *f = t->penalty.fisher;

	forest_fill(b, &d, 1, &t->forest);
	b->seed = (uint64_t)t->recipe.seed;
	b->step = b->micro = 0;
	model_pass_bind(&t->net, g);
	if (pass_step(&t->net.pass) < 0)
		return err_set(e, "interrupted while Fisher's information was made");
	for (size_t i = 0; i < t->params->n; i++)
		f[i] += (float)(share * (double)g[i] * (double)g[i]);
	return 0;
}

static int make_fisher(struct trainer *t, struct err *e)
{
	const struct document *docs[FISHER_DOCUMENTS];
	size_t n = fisher_documents(t, docs);

	for (size_t i = 0; i < n; i++)
		if (add_document(t, docs[i], 1.0 / (double)n, e) < 0)
			return -1;
	return 0;
}

int penalty_begin(struct trainer *t, struct err *e)
{
	struct penalty *p = &t->penalty;
	void *memory;

	if (!has_penalty(t))
		return 0;
	if (mem_map(&memory, penalty_bytes(t), "the weights of the start", e) < 0)
		return -1;
	p->start = memory;
	p->partials = mem_array(pieces(t), sizeof(*p->partials));
	mem_touch(memory, penalty_bytes(t));
	memcpy(p->start, t->params->w, flat_bytes(t));
	if (!(t->recipe.ewc > 0))
		return 0;
	p->fisher = p->start + t->params->n;
	return make_fisher(t, e);
}

void penalty_release(struct trainer *t)
{
	if (t->penalty.start)
		mem_unmap(t->penalty.start, penalty_bytes(t));
	mem_free(t->penalty.partials);
}

/* --- a step --- */

struct work_of { const struct trainer *t; float *g; double weight; };

static double add_range(const struct work_of *x, size_t from, size_t to)
{
	const struct trainer *t = x->t;
	const struct penalty *p = &t->penalty;
	float l2 = (float)t->recipe.l2_sp, ewc = (float)t->recipe.ewc, weight = (float)x->weight;
	double sum = 0;

	for (size_t i = from; i < to; i++) {
		float far = t->params->w[i] - p->start[i], by = p->fisher ? l2 + ewc * p->fisher[i] : l2;
		x->g[i] += weight * by * far;
		sum += 0.5 * (double)by * far * far;
	}
	return sum;
}

static bool is_new(const struct model *m, const struct param *p)
{
	return p->weight >= 0 && p->weight < (int)m->n_weights && m->weights[p->weight].made;
}

/* What is new has no start to be held to. */
static void add_piece(void *ctx, size_t item, int thread)
{
	const struct work_of *x = ctx;
	const struct params *params = x->t->params;
	size_t at = item * PIECE, to = MIN(at + PIECE, params->n);
	double sum = 0;
	(void)thread;

	for (size_t i = 0; i < params->n_items && at < to; i++) {
		const struct param *p = &params->items[i];
		size_t end = p->offset + p->n;
		if (end <= at || !is_new(x->t->model, p))
			continue;
		if (p->offset > at)
			sum += add_range(x, at, MIN(p->offset, to));
		at = end;
	}
	if (at < to)
		sum += add_range(x, at, to);
	x->t->penalty.partials[item] = sum;
}

double penalty_add(struct trainer *t, float *gradient, double weight)
{
	struct work_of x = { t, gradient, weight };
	double sum = 0;

	if (!t->penalty.start)
		return 0;
	pool_run(t->pool, pieces(t), add_piece, &x);
	for (size_t i = 0; i < pieces(t); i++)
		sum += t->penalty.partials[i];
	return sum;
}

/* --- rates by layer --- */

/* The first part of a name that is a number: "model.layers.3.mlp" is of block 3; −1: none. */
static int layer_in(const char *name)
{
	for (const char *at = strchr(name, '.'); at; at = strchr(at + 1, '.'))
		if (isdigit((unsigned char)at[1]) && at[1 + strspn(at + 1, "0123456789")] == '.')
			return atoi(at + 1);
	return -1;
}

static int depth_of(const struct trainer *t, const struct param *p)
{
	const struct model *m = t->model;
	bool weight = p->weight >= 0 && p->weight < (int)m->n_weights, first = !weight && overlays_virtual(t->overlay);
	int layer = weight ? m->weights[p->weight].layer : first ? -1 : layer_in(p->name);
	bool low = first || p->role == PARAM_EMBEDDING || strstr(p->name, "embed");

	return layer >= 0 ? layer + 1 : low ? 0 : m->config.n_layers + 1;
}

void penalty_layer_rates(struct trainer *t)
{
	struct params *p = t->params;
	int depths = t->model->config.n_layers + 2, groups = p->n_groups + 1;
	double decay = t->recipe.layer_lr_decay;

	if (!(decay < 1))
		return;
	int *made = mem_array((size_t)groups * (size_t)depths, sizeof(*made));
	for (size_t i = 0; i < p->n_items; i++) {
		struct param *x = &p->items[i];
		int depth = depth_of(t, x), *group = &made[x->group * depths + depth];
		struct param_group g = params_group(p, x->group);
		double by = pow(decay, depths - 1 - depth);
		g.rate *= by;
		g.peak *= by;
		if (!*group)
			*group = params_add_group(p, &g);
		x->group = *group;
	}
	mem_free(made);
}
