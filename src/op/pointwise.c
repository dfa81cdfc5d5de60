/* pointwise: see pointwise.h. */
#include "op/pointwise.h"

#include "base/mem.h"

struct work {
	void (*f2)(float *y, const float *a, const float *b, size_t n);
	void (*f1)(float *y, const float *x, size_t n);
	float *y;
	const float *a, *b;
	size_t n;
};

size_t pointwise_count(const struct run *r, uint32_t tensor)
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

static void piece(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t begin = item * POINTWISE_PIECE, n = MIN(w->n - begin, (size_t)POINTWISE_PIECE);
	(void)thread;
	if (w->f2)
		w->f2(w->y + begin, w->a + begin, w->b + begin, n);
	else
		w->f1(w->y + begin, w->a + begin, n);
}

static void run_pieces(struct run *r, struct work *w)
{
	pool_run(r->pool, (w->n + POINTWISE_PIECE - 1) / POINTWISE_PIECE, piece, w);
}

void pointwise_run(struct run *r, const struct node *n, void (*f)(float *y, const float *a, const float *b, size_t n))
{
	struct work w = { .f2 = f,
		          .y = run_f32(r, n->out[0]),
		          .a = run_f32(r, n->in[0]),
		          .b = run_f32(r, n->in[1]),
		          .n = pointwise_count(r, n->out[0]) };
	run_pieces(r, &w);
}

void pointwise_run1(struct run *r, const struct node *n, void (*f)(float *y, const float *x, size_t n))
{
	struct work w = {
		.f1 = f, .y = run_f32(r, n->out[0]), .a = run_f32(r, n->in[0]), .n = pointwise_count(r, n->out[0])
	};
	run_pieces(r, &w);
}
