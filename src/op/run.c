/* run: a plan with memory under it. See run.h. */
#include "op/run.h"

#include "base/mem.h"
#include "kernel/gemm.h"
#include "op/trace.h"
#include "quant/panels.h"

int run_init(struct run *r, const struct plan *p, const struct kernels *k, struct pool *pool, struct err *e)
{
	*r = (struct run){ .plan = p, .kernels = k, .pool = pool };
	void *arena = NULL, *scratch = NULL;
	size_t scratch_bytes = p->scratch_bytes * (size_t)pool_threads(pool);

	if (mem_map(&arena, p->arena_bytes, "activations", e) < 0 ||
	    mem_map(&scratch, scratch_bytes, "scratch", e) < 0) {
		if (arena)
			mem_unmap(arena, p->arena_bytes);
		*r = (struct run){ 0 };
		return -1;
	}
	mem_touch(arena, p->arena_bytes);
	mem_touch(scratch, scratch_bytes);
	r->arena = arena;
	r->scratch = scratch;
	r->data = mem_array(p->n_tensors, sizeof(*r->data));
	for (uint32_t i = 1; i < p->n_tensors; i++)
		if (p->offset[i] != SIZE_MAX)
			r->data[i] = r->arena + p->offset[i];
	return 0;
}

void run_release(struct run *r)
{
	if (r->plan) {
		mem_unmap(r->arena, r->plan->arena_bytes);
		mem_unmap(r->scratch, r->plan->scratch_bytes * (size_t)pool_threads(r->pool));
	}
	mem_free(r->data);
	*r = (struct run){ 0 };
}

void run_bind(struct run *r, uint32_t tensor, void *data)
{
	if (tensor == TENSOR_NONE || tensor >= r->plan->n_tensors || r->plan->offset[tensor] != SIZE_MAX)
		BUG("binding tensor %u, which is not bound from outside", tensor);
	r->data[tensor] = data;
}

static void check_bound(const struct run *r, const struct node *n)
{
	for (int i = 0; i < NODE_INPUTS; i++)
		if (n->in[i] && !r->data[n->in[i]])
			BUG("%s reads %s, which is not bound", n->op->name, r->plan->tensors[n->in[i]].name);
	for (int i = 0; i < NODE_OUTPUTS; i++)
		if (n->out[i] && !r->data[n->out[i]])
			BUG("%s writes %s, which is not bound", n->op->name, r->plan->tensors[n->out[i]].name);
}

static void check_batch(const struct batch_cap *cap, const struct batch *b)
{
	if (b->n_rows > cap->rows || b->n_targets > cap->targets || b->n_labels > cap->labels ||
	    b->n_segments > cap->segments)
		BUG("a batch of %d rows, %d targets, %d pairs, %d segments in a plan for %d, %d, %d, %d", b->n_rows,
		    b->n_targets, b->n_labels, b->n_segments, cap->rows, cap->targets, cap->labels, cap->segments);
}

void run_step(struct run *r, const struct batch *b)
{
	check_batch(&r->plan->cap, b);
	r->batch = b;
	for (uint32_t i = 0; i < r->plan->n_nodes; i++) {
		const struct node *n = &r->plan->nodes[i];
		double begin = r->trace ? trace_node_begin(r->trace, r->traced, i) : 0;
		check_bound(r, n);
		n->op->forward(r, n);
		if (r->trace)
			trace_node_end(r->trace, r->traced, i, begin);
	}
	if (r->trace)
		trace_step(r->trace, r->traced, b);
	r->batch = NULL;
}

float *run_f32(const struct run *r, uint32_t tensor)
{
	return tensor == TENSOR_NONE ? NULL : r->data[tensor];
}

const struct tensor *run_tensor(const struct run *r, uint32_t tensor)
{
	return &r->plan->tensors[tensor];
}

size_t run_rows(const struct run *r, uint32_t tensor)
{
	return tensor_live_rows(&r->plan->tensors[tensor], r->batch);
}

struct matrix run_matrix(const struct run *r, uint32_t tensor)
{
	const struct tensor *x = run_tensor(r, tensor);

	return (struct matrix){ .dtype = x->dtype,
		                .data = r->data[tensor],
		                .rows = run_rows(r, tensor),
		                .cols = x->dim[1],
		                .row_bytes = tensor_row_bytes(x),
		                .panel_bytes = x->panels ? panel_bytes(x->dtype, x->dim[1]) : 0 };
}

void *run_scratch(const struct run *r, int thread)
{
	return r->scratch + (size_t)thread * r->plan->scratch_bytes;
}
