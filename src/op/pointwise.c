/* pointwise: pieces of POINTWISE_PIECE numbers, whatever the threads, and the gradient's node. See pointwise.h. */
#include "op/pointwise.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct pieces {
	void (*f)(void *ctx, size_t begin, size_t n);
	void *ctx;
	size_t n;
};

struct work {
	void (*f2)(float *y, const float *a, const float *b, size_t n);
	void (*f1)(float *y, const float *x, size_t n);
	float *y;
	const float *a, *b;
};

/* Live numbers. */
static size_t pointwise_count(const struct run *r, uint32_t tensor)
{
	const struct tensor *x = run_tensor(r, tensor);
	size_t n = run_rows(r, tensor);
	for (int i = 1; i < x->n_dims; i++)
		n *= x->dim[i];
	return n;
}

void pointwise_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	*flops = tensor_live(tape_tensor(t, n->out[0]), live);
	*bytes = 12.0 * *flops;
}

void pointwise_output(struct tape *t, struct node *n, const char *name)
{
	struct tensor like = *tape_tensor(t, n->in[0]);

	tape_output(t, n, 0, name, like.axis, like.n_dims, like.dim);
}

static void piece(void *ctx, size_t item, int thread)
{
	const struct pieces *p = ctx;
	size_t begin = item * POINTWISE_PIECE;
	(void)thread;

	p->f(p->ctx, begin, MIN(p->n - begin, (size_t)POINTWISE_PIECE));
}

void pointwise_pieces(struct run *r, uint32_t like, void (*f)(void *ctx, size_t begin, size_t n), void *ctx)
{
	struct pieces p = { f, ctx, pointwise_count(r, like) };

	pool_run(r->pool, (p.n + POINTWISE_PIECE - 1) / POINTWISE_PIECE, piece, &p);
}

static void work_piece(void *ctx, size_t begin, size_t n)
{
	const struct work *w = ctx;

	if (w->f2)
		w->f2(w->y + begin, w->a + begin, w->b + begin, n);
	else
		w->f1(w->y + begin, w->a + begin, n);
}

void pointwise_run(struct run *r, const struct node *n, void (*f)(float *y, const float *a, const float *b, size_t n))
{
	struct work w = {
		.f2 = f, .y = run_f32(r, n->out[0]), .a = run_f32(r, n->in[0]), .b = run_f32(r, n->in[1])
	};

	pointwise_pieces(r, n->out[0], work_piece, &w);
}

void pointwise_run1(struct run *r, const struct node *n, void (*f)(float *y, const float *x, size_t n))
{
	struct work w = { .f1 = f, .y = run_f32(r, n->out[0]), .a = run_f32(r, n->in[0]) };

	pointwise_pieces(r, n->out[0], work_piece, &w);
}

void pointwise_backward(struct tape *t, uint32_t i, const struct op *back, int n_grads, const uint32_t *also,
                        int n_also, const void *attr, size_t attr_bytes)
{
	struct node n = t->nodes[i], made = { 0 };
	uint32_t in[NODE_INPUTS] = { tape_grad(t, n.out[0]) };
	char name[sizeof(((struct tensor *)0)->name)];

	for (int j = 0; j < n_also; j++)
		in[1 + j] = also[j];
	for (int j = 0; j < n_grads; j++) {
		struct tensor like = *tape_tensor(t, n.in[j]);
		snprintf(name, sizeof(name), "d_%s", n.op->name);
		tape_output(t, &made, j, name, like.axis, like.n_dims, like.dim);
	}
	tape_emit(t, back, in, 1 + n_also, made.out, n_grads, attr, attr_bytes);
	for (int j = 0; j < n_grads; j++)
		if (tape_wants(t, n.in[j]))
			tape_grad_pass(t, n.in[j], made.out[j]);
}
