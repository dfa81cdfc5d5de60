/* fuse_linears: up to three linears over one x become one node: q, k and v, gate and up; and the low-rank factors A of
 * their adapters.
 *
 * Their products are one list of items for the threads, where each would be waited for before the next, and in int8 x
 * is quantized once. Every product keeps its own weight (of any dtype), bias and term u·Uᵀ, its own tiles and so its
 * bits. */
#include "op/fuse.h"

#include <string.h>

#include "op/linear.h"

/* in: x, then W, u, U, bias of each; out: y of each, then x quantized */
enum { MOST = 3, PART = 4, OUT_ROWS = MOST };

struct linears_attr {
	int n;
	bool int8;
	float scale[MOST];
};

/* The inputs of part p as a linear has them. */
static void inputs_of(const struct node *n, int p, uint32_t in[N_IN])
{
	memset(in, 0, N_IN * sizeof(*in));
	in[IN_X] = n->in[0];
	memcpy(in + IN_W, n->in + 1 + p * PART, (PART - 1) * sizeof(*in));
	in[IN_BIAS] = n->in[p * PART + PART];
}

static void linears_forward(struct run *r, const struct node *n)
{
	const struct linears_attr *attr = n->attr;
	struct gemm_int8 q[MOST];
	struct gemm g[MOST];
	uint32_t in[N_IN];

	for (int p = 0; p < attr->n; p++) {
		inputs_of(n, p, in);
		if (attr->int8)
			q[p] = linear_gemm_int8(r, in, n->out[p], n->out[OUT_ROWS]);
		else
			g[p] = linear_gemm(r, in, n->out[p], attr->scale[p]);
	}
	if (attr->int8)
		gemm_int8_run_all(r->kernels, r->pool, q, attr->n);
	else
		gemm_run_all(r->kernels, r->pool, g, attr->n, run_scratch(r, 0));
}

static int linears_products(const struct run *r, const struct node *n, struct gemm *out)
{
	const struct linears_attr *attr = n->attr;
	uint32_t in[N_IN];

	for (int p = 0; p < attr->n && !attr->int8; p++) {
		inputs_of(n, p, in);
		out[p] = linear_gemm(r, in, n->out[p], attr->scale[p]);
	}
	return attr->int8 ? 0 : attr->n;
}

/* x is read once. */
static void linears_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                         double *bytes)
{
	const struct linears_attr *attr = n->attr;

	*flops = *bytes = 0;
	for (int p = 0; p < attr->n; p++) {
		struct node part = { .out = { n->out[p] } };
		double f, b;
		inputs_of(n, p, part.in);
		linear_cost(t, &part, live, &f, &b);
		*flops += f;
		*bytes += b - (p ? 4 * tensor_live(tape_tensor(t, n->in[0]), live) : 0);
	}
}

static double linears_in_f32(const struct tape *t, const struct node *n, const struct live *live)
{
	double sum = 0;

	for (int p = 0; p < ((const struct linears_attr *)n->attr)->n; p++) {
		struct node part = { .out = { n->out[p] } };
		inputs_of(n, p, part.in);
		sum += op_row_linear.in_f32(t, &part, live);
	}
	return sum;
}

static bool linears_int8(const struct node *n) { return ((const struct linears_attr *)n->attr)->int8; }

static const struct op linears = {
	.name = "linears",
	.cost = linears_cost,
	.forward = linears_forward,
	.scratch = linear_scratch,
	.int8 = linears_int8,
	.products = linears_products,
	.in_f32 = linears_in_f32,
};

static bool is_alone(const struct node *n) { return n->op == &op_row_linear; }

/* A node has room for one term of each, which it adds. */
static bool fits(const struct node *n)
{
	return !n->in[IN_RESIDUAL] && !n->in[IN_U + 2] && !((const struct linear_attr *)n->attr)->inside;
}

static bool reads(const struct node *n, uint32_t x)
{
	for (int i = 0; i < NODE_INPUTS; i++)
		if (n->in[i] == x)
			return true;
	return false;
}

static bool joins(const struct node *early, const struct node *late, const struct tensor *tensors)
{
	(void)tensors;
	if (!is_alone(early) || !fits(early) || early->in[0] != late->in[0] || reads(late, early->out[0]))
		return false;
	if (is_alone(late))
		return fits(late) && op_row_linear.int8(early) == op_row_linear.int8(late);
	return late->op == &linears && ((const struct linears_attr *)late->attr)->n < MOST &&
	       op_row_linear.int8(early) == linears_int8(late);
}

/* A linear as the only part of such a node. */
static struct node alone(const struct node *n, struct linears_attr *attr)
{
	const struct linear_attr *was = n->attr;
	struct node made = { .op = &linears, .attr = attr, .phase = n->phase, .layer = n->layer };

	*attr = (struct linears_attr){ .n = 1, .int8 = was->int8, .scale = { was->scale } };
	made.in[0] = n->in[IN_X];
	memcpy(made.in + 1, n->in + IN_W, (PART - 1) * sizeof(*made.in));
	made.in[PART] = n->in[IN_BIAS];
	made.out[0] = n->out[0];
	made.out[OUT_ROWS] = n->out[1];
	return made;
}

static void join(const struct node *early, struct node *late, struct arena *mem)
{
	struct linears_attr *attr = arena_alloc(mem, sizeof(*attr)), first, only;
	struct node a = alone(early, &first), b = is_alone(late) ? alone(late, &only) : *late;
	const struct linears_attr *rest = b.attr;

	*attr = (struct linears_attr){ .n = 1 + rest->n, .int8 = rest->int8, .scale = { first.scale[0] } };
	memcpy(attr->scale + 1, rest->scale, (size_t)rest->n * sizeof(float));
	memcpy(a.in + 1 + PART, b.in + 1, (size_t)rest->n * PART * sizeof(*a.in));
	memcpy(a.out + 1, b.out, (size_t)rest->n * sizeof(*a.out));
	a.attr = attr;
	*late = a;
}

const struct fusion fuse_linears = { .name = "linears", .joins = joins, .join = join };
