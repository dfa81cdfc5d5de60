/* run_step_all: steps of several runs side by side, as of adapters that are trained on one base.
 *
 * Every run goes through its own nodes in their order, up to the next that multiplies with a frozen matrix; there it
 * waits. Of those that wait, the ones that are least far in the model go on: all with the matrix of the first of them
 * in one product (gemm_run_joined). What differs between runs (an adapter's own factors, attention, norms) each does by
 * itself, so runs need not be alike: where one has no such node, or has it elsewhere, it is done alone.
 *
 * How far a node is: blocks up in the forward pass, then down again. */
#include "op/run.h"

#include "base/mem.h"
#include "base/stop.h"
#include "kernel/gemm.h"

enum { TOP = 1 << 20 };      /* more than there are blocks */

struct cursor {
	struct run *run;
	uint32_t at;
	int layer;                 /* of the last node that had one */
	int n;                     /* products of the node that it waits at, 0: it is over */
	struct gemm product[NODE_PRODUCTS];
};

static const struct node *node_of(const struct cursor *c) { return &c->run->plan->nodes[c->at]; }

/* Products of a node that may have a matrix in common with those of others. */
static int products_of(struct cursor *c)
{
	const struct node *n = node_of(c);

	if (!n->op->products || !n->in[1] || c->run->plan->tensors[n->in[1]].role != ROLE_WEIGHT || c->run->trace)
		return 0;
	return n->op->products(c->run, n, c->product);
}

static void go_on(struct cursor *c)
{
	const struct plan *p = c->run->plan;

	c->n = 0;
	for (; c->at < p->n_nodes && !stop_asked(); c->at++) {
		const struct node *n = node_of(c);
		c->layer = n->layer < 0 ? c->layer : n->layer;
		if ((c->n = products_of(c)) > 0)
			return;
		run_next(c->run, n);
	}
}

static int how_far(const struct cursor *c)
{
	const struct node *n = node_of(c);

	if (n->phase == PHASE_FORWARD)
		return n->layer < 0 && c->layer >= 0 ? TOP : n->layer;
	return 2 * TOP - (n->layer < 0 ? TOP : n->layer);
}

static bool same_products(const struct cursor *a, const struct cursor *b)
{
	bool same = a->n == b->n && node_of(a)->op == node_of(b)->op;

	for (int p = 0; p < a->n && same; p++) {
		const struct gemm *x = &a->product[p], *y = &b->product[p];
		same = x->term[0].b.data == y->term[0].b.data && x->n == y->n;
	}
	return same;
}

/* The nodes at which those that are `in` wait, which are alike. */
static void run_joined(struct cursor *c, const bool *in, size_t n, const struct cursor *first)
{
	struct gemm g[GEMM_TOGETHER];

	for (int p = 0; p < first->n; p++) {
		int some = 0;
		for (size_t i = 0; i < n; i++)
			if (in[i])
				g[some++] = c[i].product[p];
		gemm_run_joined(first->run->kernels, first->run->pool, g, some, run_scratch(first->run, 0));
	}
}

/* false: all are over. */
static bool run_least_far(struct cursor *c, size_t n)
{
	bool in[GEMM_TOGETHER] = { false };
	const struct cursor *first = NULL;
	size_t some = 0;

	for (size_t i = 0; i < n; i++)
		if (c[i].n && (!first || how_far(&c[i]) < how_far(first)))
			first = &c[i];
	if (!first)
		return false;
	for (size_t i = 0; i < n; i++)
		some += in[i] = c[i].n && same_products(first, &c[i]);
	if (some > 1)
		run_joined(c, in, n, first);
	for (size_t i = 0; i < n; i++) {
		if (!in[i])
			continue;
		if (some == 1)
			run_next(c[i].run, node_of(&c[i]));
		c[i].at++;
		go_on(&c[i]);
	}
	return true;
}

/* At most GEMM_TOGETHER. */
static int run_some(struct run *const *r, const struct batch *const *b, size_t n)
{
	struct cursor c[GEMM_TOGETHER];
	struct pool *pool = r[0]->pool;
	bool before = pool_give_up(pool, true);

	for (size_t i = 0; i < n; i++) {
		c[i] = (struct cursor){ .run = r[i], .layer = -1 };
		run_begin(r[i], b[i]);
		go_on(&c[i]);
	}
	while (run_least_far(c, n) && !stop_asked())
		;
	int status = stop_asked() ? -1 : 0;
	pool_give_up(pool, before);
	for (size_t i = 0; i < n; i++)
		run_end(r[i]);
	return status;
}

int run_step_all(struct run *const *r, const struct batch *const *b, size_t n)
{
	bool joins = n > 1 && r[0]->device->type->host_memory;

	for (size_t i = 0; i < n; ) {
		size_t some = joins ? MIN(n - i, (size_t)GEMM_TOGETHER) : 1;
		if ((some > 1 ? run_some(r + i, b + i, some) : run_step(r[i], b[i])) < 0)
			return -1;
		i += some;
	}
	return 0;
}
