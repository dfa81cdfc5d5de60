/* fuse_dx: the input gradients that several linears add to one tensor become one product of as many terms:
 *
 *     dx (+)= Σ scale·dy·W        over q, k and v, or gate and up, and the low-rank factors A of their adapters
 *
 * A linear's own node may have more terms already, its adapters' du·A. The sum grows in the tiles,
 * where each product would read and write dx anew. It is one chain over the terms in the order of the nodes, where
 * separate products are sums of their own that are added up: equal up to rounding. Products in int8 stay as they
 * are. */
#include "op/fuse.h"

#include <string.h>

#include "op/linear.h"

struct sum_attr {
	int n;
	bool accumulate;
	float scale[GEMM_TERMS];
};

/* in: dy and W of each; out: dx */
static int sum_products(const struct run *r, const struct node *n, struct gemm *g)
{
	const struct sum_attr *attr = n->attr;
	size_t I = run_tensor(r, n->out[0])->dim[1];

	*g = (struct gemm){ .m = run_rows(r, n->out[0]),
		            .n = I,
		            .c = run_f32(r, n->out[0]),
		            .ldc = I,
		            .n_terms = attr->n,
		            .accumulate = attr->accumulate,
		            .free = true };
	for (int p = 0; p < attr->n; p++)
		g->term[p] = linear_dx_term(r, n->in[2 * p], n->in[2 * p + 1], attr->scale[p]);
	return 1;
}

static void sum_forward(struct run *r, const struct node *n)
{
	struct gemm g;

	sum_products(r, n, &g);
	gemm_run(r->kernels, r->pool, &g, run_scratch(r, 0));
}

/* dx is written once. */
static void sum_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	const struct sum_attr *attr = n->attr;

	*flops = *bytes = 0;
	for (int p = 0; p < attr->n; p++) {
		struct node part = { .in = { n->in[2 * p], n->in[2 * p + 1] }, .out = { n->out[0] } };
		double f, b;
		linear_product_cost(t, &part, live, &f, &b);
		*flops += f;
		*bytes += b - (p ? 4 * tensor_live(tape_tensor(t, n->out[0]), live) : 0);
	}
}

static const struct op linear_dx_sum = {
	.name = "linear_dx_sum", .cost = sum_cost, .forward = sum_forward, .scratch = linear_scratch,
	.products = sum_products,
};

static bool is_alone(const struct node *n)
{
	return n->op == &op_linear_dx && !((const struct linear_back_attr *)n->attr)->int8;
}

static int terms(const struct node *n)
{
	int k = 0;

	if (!is_alone(n))
		return ((const struct sum_attr *)n->attr)->n;
	while (k < DX_PAIRS && n->in[2 * k])
		k++;
	return k;
}

static bool joins(const struct node *early, const struct node *late, const struct tensor *tensors)
{
	(void)tensors;
	if (!is_alone(early) || early->out[0] != late->out[0] || early->in[DX_DY] == late->out[0])
		return false;
	return (is_alone(late) || late->op == &linear_dx_sum) && terms(early) + terms(late) <= GEMM_TERMS;
}

static struct node alone(const struct node *n, struct sum_attr *attr)
{
	const struct linear_back_attr *was = n->attr;
	struct node made = *n;

	*attr = (struct sum_attr){ .n = terms(n), .accumulate = was->accumulate };
	memcpy(attr->scale, was->scale, sizeof(was->scale));
	made.op = &linear_dx_sum;
	made.attr = attr;
	return made;
}

static void join(const struct node *early, struct node *late, struct arena *mem)
{
	struct sum_attr *attr = arena_alloc(mem, sizeof(*attr)), first, only;
	struct node a = alone(early, &first), b = is_alone(late) ? alone(late, &only) : *late;
	const struct sum_attr *rest = b.attr;

	*attr = first;
	memcpy(attr->scale + first.n, rest->scale, (size_t)rest->n * sizeof(float));
	memcpy(a.in + 2 * first.n, b.in, (size_t)rest->n * 2 * sizeof(*a.in));
	attr->n += rest->n;
	a.attr = attr;
	*late = a;
}

/* A sum may be added to what is there after another product was, in int8. */
static bool commutes(const struct node *early, const struct node *between)
{
	return between->op == &op_linear_dx && between->out[0] == early->out[0] &&
	       ((const struct linear_back_attr *)early->attr)->accumulate &&
	       ((const struct linear_back_attr *)between->attr)->accumulate;
}

const struct fusion fuse_dx = { .name = "dx", .joins = joins, .join = join, .commutes = commutes };
