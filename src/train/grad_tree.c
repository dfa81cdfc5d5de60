/* grad_tree: a step's gradients added up in buffers that are handed on. Additions go through the pool in pieces
 * whose size no thread count changes; one float addition a number a node of the tree, so the pieces do not matter
 * to the bits either. */
#include "train/grad_tree.h"

#include <string.h>

#include "base/mem.h"

enum { ADD_PIECE = 1 << 16 };

int grad_tree_buffers(long max_leaves)
{
	int buffers = 1;
	while (max_leaves > 1) {
		max_leaves /= 2;
		buffers++;
	}
	return buffers;
}

static void spare_all(struct grad_tree *g)
{
	g->n_spare = 0;
	for (int i = g->n_buffers; i-- > 0; )
		g->spare[g->n_spare++] = g->memory + (size_t)i * g->n;
	memset(g->waiting, 0, sizeof(g->waiting));
	g->leaf = NULL;
	g->leaves = 0;
}

int grad_tree_map(struct grad_tree *g, size_t n, long max_leaves, const struct kernels *k, struct pool *p,
                  struct err *e)
{
	void *memory;
	*g = (struct grad_tree){ .kernels = k, .pool = p, .n = n, .n_buffers = grad_tree_buffers(max_leaves) };
	size_t bytes = (size_t)g->n_buffers * n * sizeof(float);
	if (mem_map(&memory, bytes, "gradients", e) < 0)
		return -1;
	g->memory = memory;
	spare_all(g);
	return 0;
}

int grad_tree_init(struct grad_tree *g, size_t n, long max_leaves, const struct kernels *k, struct pool *p,
                   struct err *e)
{
	if (grad_tree_map(g, n, max_leaves, k, p, e) < 0)
		return -1;
	mem_touch(g->memory, (size_t)g->n_buffers * n * sizeof(float));
	return 0;
}

float *grad_tree_leaf(struct grad_tree *g)
{
	if (!g->leaf && g->n_spare == 0)
		BUG("more micro-batches than the %d gradient buffers were planned for", g->n_buffers);
	if (!g->leaf)
		g->leaf = g->spare[--g->n_spare];
	return g->leaf;
}

struct addition {
	const struct kernels *kernels;
	float *to;
	const float *from;
	size_t n;
};

static void add_piece(void *ctx, size_t item, int thread)
{
	const struct addition *a = ctx;
	size_t at = item * ADD_PIECE;
	(void)thread;
	a->kernels->add(a->to + at, a->to + at, a->from + at, MIN((size_t)ADD_PIECE, a->n - at));
}

/* to += from; from becomes spare. */
static float *join(struct grad_tree *g, float *to, float *from)
{
	struct addition a = { g->kernels, to, from, g->n };
	pool_run(g->pool, (g->n + ADD_PIECE - 1) / ADD_PIECE, add_piece, &a);
	g->spare[g->n_spare++] = from;
	return to;
}

void grad_tree_add(struct grad_tree *g)
{
	float *sum = g->leaf;
	int level = 0;

	if (!sum)
		BUG("a leaf was added that nobody asked for");
	for (; level < GRAD_TREE_LEVELS && g->waiting[level]; level++) {
		sum = join(g, g->waiting[level], sum);
		g->waiting[level] = NULL;
	}
	if (level == GRAD_TREE_LEVELS)
		BUG("more than 2^%d micro-batches in a step", GRAD_TREE_LEVELS);
	g->waiting[level] = sum;
	g->leaf = NULL;
	g->leaves++;
}

float *grad_tree_sum(struct grad_tree *g)
{
	float *sum = NULL;

	for (int level = 0; level < GRAD_TREE_LEVELS; level++)
		if (g->waiting[level]) {
			sum = sum ? join(g, g->waiting[level], sum) : g->waiting[level];
			g->waiting[level] = NULL;
		}
	if (!sum)
		BUG("the sum of no micro-batch");
	spare_all(g);
	/* The next leaf must not be written over the sum while it is in use: it comes last. */
	for (int i = 0; i < g->n_spare; i++)
		if (g->spare[i] == sum) {
			memmove(g->spare + 1, g->spare, (size_t)i * sizeof(*g->spare));
			g->spare[0] = sum;
		}
	return sum;
}

void grad_tree_forget(struct grad_tree *g) { spare_all(g); }

void grad_tree_release(struct grad_tree *g)
{
	if (g->memory)
		mem_unmap(g->memory, (size_t)g->n_buffers * g->n * sizeof(float));
	*g = (struct grad_tree){ 0 };
}
