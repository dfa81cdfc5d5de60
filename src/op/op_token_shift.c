/* token_shift: each row mixed with the row before it in its document, once for each of n vectors of shares
 * (RWKV; Peng et al. 2023).
 *
 *     x, y_p (N,C)      mix: n vectors (C), or one of all (n·C)      before_i: x of the row before, or 0      p < n
 *
 *     y_p,i = x_i + (before_i − x_i)∘mix_p, or, where shares are the row's own, with 1 − mix_p
 *
 *     dx_i = Σ_p dy_p,i∘(1 − mix_p) + Σ over rows j that follow i, Σ_p dy_p,j∘mix_p
 *     dmix_p = Σ rows dy_p,i∘(before_i − x_i)
 *
 * In a session the row before a segment's first is in a state (op/state.h), where each segment leaves its last.
 * A work item is a block of columns: it goes over all rows in their order. */
#include "op/ops.h"

#include <string.h>

#include "base/mem.h"
#include "op/batch_sample.h"
#include "op/run.h"
#include "op/state.h"

enum { IN_X, IN_STATE, IN_MIX };
enum { BLOCK = 64, MOST = 7 /* vectors of shares */ };

struct shift_attr { size_t n, tensors; bool own, add_x, add_mix[MOST]; };

static int check_mix(const struct tape *t, const struct node *n, size_t C, struct err *e)
{
	const struct shift_attr *a = n->attr;
	size_t want = a->n / a->tensors * C;

	for (size_t i = 0; i < a->tensors; i++) {
		const struct tensor *mix = tape_tensor(t, n->in[IN_MIX + i]);
		if (tensor_count(mix) != want)
			return err_set(e, "%s: %zu numbers, %zu are wanted", mix->name, tensor_count(mix), want);
	}
	return 0;
}

static int shift_shape(struct tape *t, struct node *n, struct err *e)
{
	struct tensor x = *tape_tensor(t, n->in[IN_X]);
	const struct tensor *s = n->in[IN_STATE] ? tape_tensor(t, n->in[IN_STATE]) : NULL;
	const struct shift_attr *a = n->attr;

	if (x.n_dims != 2)
		return err_set(e, "%s is no matrix", x.name);
	if (check_mix(t, n, x.dim[1], e) < 0)
		return -1;
	if (s && (s->role != ROLE_STATE || s->dim[1] != x.dim[1]))
		return err_set(e, "%s keeps no rows of %zu", s->name, x.dim[1]);
	if (s && tape_wants(t, n->in[IN_X]))
		return err_set(e, "%s goes into a state, which passes no gradient back", x.name);
	for (size_t p = 0; p < a->n; p++)
		tape_output(t, n, (int)p, "shifted", x.axis, 2, x.dim);
	if (s)
		n->out[a->n] = n->in[IN_STATE];
	return 0;
}

struct work {
	const struct batch *b;
	const struct shift_attr *attr;
	const float *x, *mix[MOST];
	float *y[MOST];
	const float *dy[MOST];         /* NULL: nothing stands on it */
	float *dx, *dmix[MOST];        /* NULL: not wanted */
	float *state;                  /* or NULL */
	const int32_t *place;
	size_t C;
};

static const float zeros[BLOCK];

/* x of the row before a segment's first, from column c on. */
static const float *before_first(const struct work *w, const struct segment *s, size_t c)
{
	if (w->state) {
		int32_t place = state_place_before(w->b, w->place, s);
		return place < 0 ? zeros : w->state + (size_t)place * w->C + c;
	}
	int32_t row = state_row_before(w->b, s);
	return row < 0 ? zeros : w->x + (size_t)row * w->C + c;
}

/* Of the row before. */
static float share(const struct work *w, float mix) { return w->attr->own ? 1 - mix : mix; }

static void mix_row(const struct work *w, size_t at, const float *before, size_t c, size_t n)
{
	const float *x = w->x + at;

	for (size_t p = 0; p < w->attr->n; p++) {
		const float *mix = w->mix[p] + c;
		float *y = w->y[p] + at;
		for (size_t j = 0; j < n; j++)
			y[j] = x[j] + (before[j] - x[j]) * share(w, mix[j]);
	}
}

static void shift_block(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t c = item * BLOCK, n = MIN(w->C - c, (size_t)BLOCK);
	(void)thread;

	for (int32_t k = 0; k < w->b->n_segments; k++) {
		const struct segment *s = &w->b->segments[k];
		const float *before = before_first(w, s, c);
		for (int32_t i = s->start; i < s->start + s->len; i++) {
			size_t at = (size_t)i * w->C + c;
			mix_row(w, at, before, c, n);
			before = w->x + at;
			int32_t place = w->state ? state_place_after(w->b, w->place, s, i) : -1;
			if (place >= 0)
				memcpy(w->state + (size_t)place * w->C + c, before, n * sizeof(float));
		}
	}
}

/* The vectors, in one tensor or in as many. */
static void find_mix(struct work *w, const struct run *r, const uint32_t *in)
{
	size_t each = w->attr->n / w->attr->tensors;

	for (size_t p = 0; p < w->attr->n; p++)
		w->mix[p] = run_f32(r, in[p / each]) + p % each * w->C;
}

static void shift_forward(struct run *r, const struct node *n)
{
	const struct shift_attr *a = n->attr;
	struct work w = { .b = r->batch,
		          .attr = a,
		          .x = run_f32(r, n->in[IN_X]),
		          .state = run_f32(r, n->in[IN_STATE]),
		          .C = run_tensor(r, n->in[IN_X])->dim[1] };

	if (w.state)
		w.place = batch_places(r->batch, run_tensor(r, n->in[IN_STATE])->memory);
	find_mix(&w, r, n->in + IN_MIX);
	for (size_t p = 0; p < a->n; p++)
		w.y[p] = run_f32(r, n->out[p]);
	pool_run(r->pool, (w.C + BLOCK - 1) / BLOCK, shift_block, &w);
}

static void shift_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                       double *bytes)
{
	const struct shift_attr *a = n->attr;
	double numbers = tensor_live(tape_tensor(t, n->in[IN_X]), live);

	*flops = 3 * (double)a->n * numbers;
	*bytes = 4 * (double)(a->n + 1) * numbers;
}

/* --- backward. in: x, dy of each, the mixes; out: dx, then the mixes' --- */

enum { BACK_X, BACK_DY };

/* Of one row: what goes to it, what to the row before it, and what to the shares. */
static void back_row(const struct work *w, size_t at, const float *before, float *d_before, size_t c,
                     size_t n)
{
	const float *x = w->x + at;
	float *dx = w->dx ? w->dx + at : NULL;

	for (size_t p = 0; p < w->attr->n; p++) {
		const float *mix = w->mix[p] + c, *dy = w->dy[p] ? w->dy[p] + at : zeros;
		float *dmix = w->dmix[p] ? w->dmix[p] + c : NULL, sign = w->attr->own ? -1 : 1;
		for (size_t j = 0; dx && j < n; j++)
			dx[j] += dy[j] * (1 - share(w, mix[j]));
		for (size_t j = 0; d_before && j < n; j++)
			d_before[j] += dy[j] * share(w, mix[j]);
		for (size_t j = 0; dmix && j < n; j++)
			dmix[j] += sign * dy[j] * (before[j] - x[j]);
	}
}

static void back_segment(const struct work *w, const struct segment *s, size_t c, size_t n)
{
	const float *before = before_first(w, s, c);
	int32_t last = state_row_before(w->b, s);

	for (int32_t i = s->start; i < s->start + s->len; last = i++) {
		size_t at = (size_t)i * w->C + c;
		back_row(w, at, before, w->dx && last >= 0 ? w->dx + (size_t)last * w->C + c : NULL, c, n);
		before = w->x + at;
	}
}

static void back_block(void *ctx, size_t item, int thread)
{
	const struct work *w = ctx;
	size_t c = item * BLOCK, n = MIN(w->C - c, (size_t)BLOCK);
	(void)thread;

	for (int32_t i = 0; w->dx && !w->attr->add_x && i < w->b->n_rows; i++)
		memset(w->dx + (size_t)i * w->C + c, 0, n * sizeof(float));
	for (size_t p = 0, each = w->attr->n / w->attr->tensors; p < w->attr->n; p++)
		if (w->dmix[p] && !w->attr->add_mix[p / each])
			memset(w->dmix[p] + c, 0, n * sizeof(float));
	for (int32_t k = 0; k < w->b->n_segments; k++)
		back_segment(w, &w->b->segments[k], c, n);
}

static void back_forward(struct run *r, const struct node *n)
{
	const struct shift_attr *a = n->attr;
	struct work w = { .b = r->batch,
		          .attr = a,
		          .x = run_f32(r, n->in[BACK_X]),
		          .dx = run_f32(r, n->out[0]),
		          .C = run_tensor(r, n->in[BACK_X])->dim[1] };

	find_mix(&w, r, n->in + BACK_DY + a->n);
	for (size_t p = 0, each = a->n / a->tensors; p < a->n; p++) {
		float *dmix = run_f32(r, n->out[1 + p / each]);
		w.dy[p] = run_f32(r, n->in[BACK_DY + p]);
		w.dmix[p] = dmix ? dmix + p % each * w.C : NULL;
	}
	pool_run(r->pool, (w.C + BLOCK - 1) / BLOCK, back_block, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops,
                      double *bytes)
{
	shift_cost(t, n, live, flops, bytes);
	*flops *= 3;
	*bytes *= 2;
}

static const struct op shift_back = { .name = "token_shift_back", .cost = back_cost, .forward = back_forward };

static void shift_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i];
	struct shift_attr a = *(const struct shift_attr *)n.attr;
	uint32_t in[NODE_INPUTS] = { n.in[IN_X] }, out[1 + MOST] = { TENSOR_NONE };

	for (size_t p = 0; p < a.n; p++)
		in[BACK_DY + p] = tape_grad(t, n.out[p]);
	for (size_t k = 0; k < a.tensors; k++) {
		uint32_t mix = in[BACK_DY + a.n + k] = n.in[IN_MIX + k];
		if (tape_wants(t, mix))
			out[1 + k] = tape_grad_target(t, mix, &a.add_mix[k]);
	}
	if (tape_wants(t, n.in[IN_X]))
		out[0] = tape_grad_target(t, n.in[IN_X], &a.add_x);
	tape_emit(t, &shift_back, in, BACK_DY + (int)(a.n + a.tensors), out, 1 + (int)a.tensors, &a, sizeof(a));
}

static uint32_t shift_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { int N; size_t C, n; bool frozen_x, frozen_mix, apart; } cases[] = {
		{ 1, 1, 1, false, false, false }, { 70, 67, 3, false, false, false }, { 96, 130, 2, true, false, true },
		{ 33, 65, 6, false, true, false }, { 40, 66, 3, false, false, true },
	};
	size_t C = cases[i].C, n = cases[i].n, dim[2] = { (size_t)cases[i].N, C };
	size_t tensors = cases[i].apart ? n : 1, each = n / tensors * C;
	uint32_t y[MOST], mix[MOST], sum;

	batch_sample(b, rng, cases[i].N, 50);
	uint32_t x = cases[i].frozen_x ? tape_weight(t, "x", DTYPE_F32, 2, dim) : tape_param(t, "x", 2, dim);
	for (size_t k = 0; k < tensors; k++)
		mix[k] = cases[i].frozen_mix ? tape_weight(t, "mix", DTYPE_F32, 1, &each) :
		                               tape_param(t, "mix", 1, &each);
	op_token_shift(t, x, (struct shares){ mix, tensors, cases[i].apart }, TENSOR_NONE, n, y);
	sum = y[0];
	for (size_t p = 1; p < n; p++)
		sum = op_act(t, ACT_TANH, sum, y[p]);
	return sum;
}

const struct op op_row_token_shift = {
	.name = "token_shift",
	.shape = shift_shape,
	.cost = shift_cost,
	.forward = shift_forward,
	.backward = shift_backward,
	.saves = 1U << IN_X | ((1U << MOST) - 1) << IN_MIX,
	.cheap = true,
	.sample = shift_sample,
	.sample_count = 5,
};

void op_token_shift(struct tape *t, uint32_t x, struct shares mix, uint32_t state, size_t n, uint32_t *out)
{
	struct shift_attr a = { .n = n, .tensors = mix.n, .own = mix.own };
	uint32_t in[IN_MIX + MOST] = { x, state };

	if (n < 1 || n > MOST || (mix.n != 1 && mix.n != n))
		BUG("%zu tensors of %zu shares", mix.n, n);
	for (size_t k = 0; k < mix.n; k++)
		in[IN_MIX + k] = mix.tensor[k];
	uint32_t first = tape_record(t, &op_row_token_shift, in, IN_MIX + (int)mix.n, &a, sizeof(a));
	for (size_t p = 0; p < n; p++)
		out[p] = first ? t->nodes[t->n_nodes - 1].out[p] : TENSOR_NONE;
}
