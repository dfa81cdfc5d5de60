/* fuse: goes over a plan's nodes and lets each fusion of the table join what it can. From the last node back, each
 * takes in those before it that a fusion joins to it; so a node's place is that of its last part, and all that its
 * parts read has been made. */
#include "op/fuse.h"

#include <string.h>

#include "base/mem.h"

struct fuse {
	struct node *nodes;
	bool *gone;
	uint32_t n;
	const struct tensor *tensors;
};

static bool has(const uint32_t *list, int n, uint32_t x)
{
	for (int i = 0; i < n; i++)
		if (x != TENSOR_NONE && list[i] == x)
			return true;
	return false;
}

/* Does one write what the other reads or writes? */
static bool meets(const struct node *a, const struct node *b)
{
	for (int i = 0; i < NODE_OUTPUTS; i++)
		if (has(b->in, NODE_INPUTS, a->out[i]) || has(b->out, NODE_OUTPUTS, a->out[i]) ||
		    has(a->in, NODE_INPUTS, b->out[i]))
			return true;
	return false;
}

static bool may_wait(const struct fuse *f, const struct fusion *fusion, uint32_t early, uint32_t late)
{
	const struct node *a = &f->nodes[early];

	for (uint32_t i = early + 1; i < late; i++) {
		const struct node *b = &f->nodes[i];
		if (!f->gone[i] && meets(a, b) && !(fusion->commutes && fusion->commutes(a, b)))
			return false;
	}
	return true;
}

static void join_at(struct fuse *f, const struct fusion *fusion, uint32_t late, struct arena *mem)
{
	struct node *b = &f->nodes[late];

	for (uint32_t i = late; i-- > 0 && f->nodes[i].layer == b->layer;) {
		const struct node *a = &f->nodes[i];
		if (f->gone[i] || a->phase != b->phase || !fusion->joins(a, b, f->tensors) ||
		    !may_wait(f, fusion, i, late))
			continue;
		int joined = a->joined + b->joined + 1;
		fusion->join(a, b, mem);
		b->joined = joined;
		f->gone[i] = true;
	}
}

static uint32_t close_up(struct fuse *f)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < f->n; i++)
		if (!f->gone[i])
			f->nodes[n++] = f->nodes[i];
	memset(f->gone, 0, f->n * sizeof(*f->gone));
	return n;
}

uint32_t fuse_nodes(struct node *nodes, uint32_t n, const struct tensor *tensors, struct arena *mem)
{
	struct fuse f = {
		.nodes = nodes, .gone = mem_array((size_t)n + 1, sizeof(*f.gone)), .n = n, .tensors = tensors
	};

	for (int i = 0; fusion_table[i]; i++) {
		for (uint32_t late = f.n; late-- > 0;)
			if (!f.gone[late])
				join_at(&f, fusion_table[i], late, mem);
		f.n = close_up(&f);
	}
	mem_free(f.gone);
	return f.n;
}
