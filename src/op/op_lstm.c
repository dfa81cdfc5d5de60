/* lstm: one layer of a bidirectional LSTM over n fixed rows (Hochreiter and Schmidhuber 1997; torch.nn.LSTM).
 *
 *     z = W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh     z = (zi, zf, zg, zo)
 *     c_t = σ(zf)·c_{t−1} + σ(zi)·tanh(zg)          h_t = σ(zo)·tanh(c_t)
 *
 * x (n,I), y (n,2H): H of the direction that goes up, H of the one that comes down. W_ih (4H,I), W_hh (4H,H),
 * b (4H); in: x, then those four of each direction. Kept for backward, out[1] (n,2·5H): of each direction the four
 * gates and c.
 *
 * A step waits for the one before, so a direction is one item: this is for the few rows of an encoder of prompts. */
#include "op/ops.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "kernel/kernels.h"
#include "op/batch_sample.h"
#include "op/run.h"

enum { W_IH, W_HH, B_IH, B_HH, PARTS, KEPT = 5 };

struct lstm_attr { bool add[2 * PARTS]; };

struct side {                      /* one direction */
	const float *part[PARTS];
	float *d[PARTS];
	bool add[PARTS];
};

struct work {
	const struct kernels *k;
	size_t n, I, H;
	const float *x, *dy;
	float *y, *kept, *dz, *dx;     /* dz: [2][n][4H] */
	struct side side[2];
};

static int lstm_shape(struct tape *t, struct node *n, struct err *e)
{
	const struct tensor *x = tape_tensor(t, n->in[0]);
	size_t H = tape_tensor(t, n->in[1 + W_HH])->dim[1], rows = x->dim[0], I = x->dim[1];
	const size_t want[PARTS] = { 4 * H * I, 4 * H * H, 4 * H, 4 * H };

	if (x->n_dims != 2 || x->axis != AXIS_FIXED)
		return err_set(e, "%s is no matrix of fixed rows", x->name);
	for (int j = 0; j < 2 * PARTS; j++)
		if (tensor_count(tape_tensor(t, n->in[1 + j])) != want[j % PARTS])
			return err_set(e, "%s: %zu numbers are wanted", tape_tensor(t, n->in[1 + j])->name,
			               want[j % PARTS]);
	tape_output(t, n, 0, "lstm", AXIS_FIXED, 2, (size_t[]){ rows, 2 * H });
	tape_output(t, n, 1, "lstm_kept", AXIS_FIXED, 2, (size_t[]){ rows, 2 * KEPT * H });
	return 0;
}

static float sigmoid(float z) { return (float)(1 / (1 + exp(-(double)z))); }

static float tanh_of(float z) { return (float)tanh((double)z); }

/* Row t of a direction, the i-th that it comes to. */
static size_t row_of(const struct work *w, size_t dir, size_t i) { return dir ? w->n - 1 - i : i; }

static float *kept_at(const struct work *w, size_t dir, size_t row)
{
	return w->kept + row * 2 * KEPT * w->H + dir * KEPT * w->H;
}

static void step(const struct work *w, size_t dir, size_t row, const float *h_before, const float *c_before)
{
	const struct side *s = &w->side[dir];
	size_t H = w->H;
	float *gate = kept_at(w, dir, row), *c = gate + 4 * H, *h = w->y + row * 2 * H + dir * H;

	for (size_t j = 0; j < 4 * H; j++) {
		float z = w->k->dot(w->x + row * w->I, s->part[W_IH] + j * w->I, w->I) + s->part[B_IH][j] +
		          s->part[B_HH][j];
		if (h_before)
			z += w->k->dot(h_before, s->part[W_HH] + j * H, H);
		gate[j] = j / H == 2 ? tanh_of(z) : sigmoid(z);
	}
	for (size_t j = 0; j < H; j++) {
		c[j] = gate[j] * gate[2 * H + j] + (c_before ? gate[H + j] * c_before[j] : 0);
		h[j] = gate[3 * H + j] * tanh_of(c[j]);
	}
}

static void go(void *ctx, size_t dir, int thread)
{
	const struct work *w = ctx;
	(void)thread;

	for (size_t i = 0; i < w->n; i++) {
		size_t row = row_of(w, dir, i), last = i ? row_of(w, dir, i - 1) : 0;
		step(w, dir, row, i ? w->y + last * 2 * w->H + dir * w->H : NULL,
		     i ? kept_at(w, dir, last) + 4 * w->H : NULL);
	}
}

/* in, out: x and the parts; y and what is kept */
static struct work work_of(const struct run *r, const uint32_t *in, uint32_t y, uint32_t kept)
{
	struct work w = { .k = r->kernels, .x = run_f32(r, in[0]), .y = run_f32(r, y), .kept = run_f32(r, kept),
		          .n = run_tensor(r, y)->dim[0], .H = run_tensor(r, y)->dim[1] / 2,
		          .I = run_tensor(r, in[0])->dim[1] };

	for (int j = 0; j < 2 * PARTS; j++)
		w.side[j / PARTS].part[j % PARTS] = run_f32(r, in[1 + j]);
	return w;
}

static void lstm_forward(struct run *r, const struct node *n)
{
	struct work w = work_of(r, n->in, n->out[0], n->out[1]);

	pool_run(r->pool, 2, go, &w);
}

static void lstm_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	double w = 0;
	(void)live;

	for (int j = 0; j < 2 * PARTS; j++)
		w += (double)tensor_count(tape_tensor(t, n->in[1 + j]));
	*flops = 2 * w * (double)tape_tensor(t, n->in[0])->dim[0];
	*bytes = 4 * w;
}

/* --- backward --- */

/* dz of a row, and what goes to c before; dh and dc: all that arrived there. */
static void step_back(const struct work *w, size_t dir, size_t row, const float *c_before, const float *dh, float *dc)
{
	size_t H = w->H;
	const float *gate = kept_at(w, dir, row), *c = gate + 4 * H;
	float *dz = w->dz + (dir * w->n + row) * 4 * H;

	for (size_t j = 0; j < H; j++) {
		float i = gate[j], f = gate[H + j], g = gate[2 * H + j], o = gate[3 * H + j], tc = tanh_of(c[j]);
		float d = dc[j] + dh[j] * o * (1 - tc * tc);
		dz[j] = d * g * i * (1 - i);
		dz[H + j] = c_before ? d * c_before[j] * f * (1 - f) : 0;
		dz[2 * H + j] = d * i * (1 - g * g);
		dz[3 * H + j] = dh[j] * tc * o * (1 - o);
		dc[j] = d * f;
	}
}

static void add_parts(const struct work *w, size_t dir, size_t row, const float *h_before)
{
	const struct side *s = &w->side[dir];
	const float *dz = w->dz + (dir * w->n + row) * 4 * w->H;

	for (size_t j = 0; j < 4 * w->H; j++) {
		w->k->axpy(s->d[W_IH] + j * w->I, dz[j], w->x + row * w->I, w->I);
		if (h_before)
			w->k->axpy(s->d[W_HH] + j * w->H, dz[j], h_before, w->H);
		s->d[B_IH][j] += dz[j];
		s->d[B_HH][j] += dz[j];
	}
}

static void zero_parts(const struct work *w, const struct side *s)
{
	const size_t n[PARTS] = { 4 * w->H * w->I, 4 * w->H * w->H, 4 * w->H, 4 * w->H };

	for (int j = 0; j < PARTS; j++)
		if (!s->add[j])
			memset(s->d[j], 0, n[j] * sizeof(float));
}

/* dx has, behind its rows, dh and dc of each direction. */
static void go_back(void *ctx, size_t dir, int thread)
{
	const struct work *w = ctx;
	const struct side *s = &w->side[dir];
	size_t H = w->H;
	float *dh = w->dz + 2 * w->n * 4 * H + dir * 2 * H, *dc = dh + H;
	(void)thread;

	zero_parts(w, s);
	memset(dh, 0, 2 * H * sizeof(*dh));
	for (size_t i = w->n; i-- > 0;) {
		size_t row = row_of(w, dir, i), last = i ? row_of(w, dir, i - 1) : 0;
		const float *h_before = i ? w->y + last * 2 * H + dir * H : NULL;
		w->k->add(dh, dh, w->dy + row * 2 * H + dir * H, H);
		step_back(w, dir, row, i ? kept_at(w, dir, last) + 4 * H : NULL, dh, dc);
		add_parts(w, dir, row, h_before);
		const float *dz = w->dz + (dir * w->n + row) * 4 * H;
		memset(dh, 0, H * sizeof(*dh));
		for (size_t j = 0; j < 4 * H; j++)
			w->k->axpy(dh, dz[j], s->part[W_HH] + j * H, H);
	}
}

static void row_of_x(void *ctx, size_t row, int thread)
{
	const struct work *w = ctx;
	float *dx = w->dx + row * w->I;
	(void)thread;

	memset(dx, 0, w->I * sizeof(*dx));
	for (size_t dir = 0; dir < 2; dir++)
		for (size_t j = 0; j < 4 * w->H; j++)
			w->k->axpy(dx, w->dz[(dir * w->n + row) * 4 * w->H + j],
			           w->side[dir].part[W_IH] + j * w->I, w->I);
}

/* in: x, the parts, y, what is kept, dy; out: dx, the parts' gradients, dz */
static void back_forward(struct run *r, const struct node *n)
{
	const struct lstm_attr *a = n->attr;
	const uint32_t *rest = n->in + 1 + 2 * PARTS;
	struct work w = work_of(r, n->in, rest[0], rest[1]);

	w.dy = run_f32(r, rest[2]);
	w.dx = run_f32(r, n->out[0]);
	w.dz = run_f32(r, n->out[1 + 2 * PARTS]);
	for (int j = 0; j < 2 * PARTS; j++) {
		w.side[j / PARTS].d[j % PARTS] = run_f32(r, n->out[1 + j]);
		w.side[j / PARTS].add[j % PARTS] = a->add[j];
	}
	pool_run(r->pool, 2, go_back, &w);
	pool_run(r->pool, w.n, row_of_x, &w);
}

static void back_cost(const struct tape *t, const struct node *n, const struct live *live, double *flops, double *bytes)
{
	lstm_cost(t, n, live, flops, bytes);
	*flops *= 2;
	*bytes *= 3;
}

static const struct op lstm_back = { .name = "lstm_back", .cost = back_cost, .forward = back_forward };

static void lstm_backward(struct tape *t, uint32_t i)
{
	struct node n = t->nodes[i], made = { 0 };
	struct lstm_attr a = { 0 };
	const struct tensor *x = tape_tensor(t, n.in[0]);
	size_t rows = x->dim[0], H = tape_tensor(t, n.out[0])->dim[1] / 2;
	uint32_t in[1 + 2 * PARTS + 3], out[1 + 2 * PARTS + 1], dy = tape_grad(t, n.out[0]);

	memcpy(in, n.in, (1 + 2 * PARTS) * sizeof(*in));
	in[1 + 2 * PARTS] = n.out[0];
	in[2 + 2 * PARTS] = n.out[1];
	in[3 + 2 * PARTS] = dy;
	out[0] = tape_output(t, &made, 0, "d_lstm", AXIS_FIXED, 2, (size_t[]){ rows, x->dim[1] });
	for (int j = 0; j < 2 * PARTS; j++)
		out[1 + j] = tape_grad_target(t, n.in[1 + j], &a.add[j]);
	out[1 + 2 * PARTS] = tape_output(t, &made, 1, "d_gates", AXIS_FIXED, 1, (size_t[]){ (8 * rows + 4) * H });
	tape_emit(t, &lstm_back, in, 1 + 2 * PARTS + 3, out, 2 + 2 * PARTS, &a, sizeof(a));
	if (tape_wants(t, n.in[0]))
		tape_grad_pass(t, n.in[0], out[0]);
}

static uint32_t lstm_sample(struct tape *t, struct batch *b, struct rng_stream *rng, int i)
{
	static const struct { size_t n, I, H; } cases[] = { { 1, 1, 1 }, { 4, 5, 3 }, { 3, 9, 17 } };
	size_t I = cases[i].I, H = cases[i].H, gates = 4 * H;
	uint32_t part[2 * PARTS];

	batch_sample(b, rng, 5, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ cases[i].n, I });
	for (int j = 0; j < 2 * PARTS; j++)
		part[j] = j % PARTS < B_IH ? tape_param(t, "w", 2, (size_t[]){ gates, j % PARTS == W_IH ? I : H })
		                           : tape_param(t, "b", 1, &gates);
	return op_lstm(t, x, part);
}

const struct op op_row_lstm = {
	.name = "lstm",
	.shape = lstm_shape,
	.cost = lstm_cost,
	.forward = lstm_forward,
	.backward = lstm_backward,
	.saves = ((1U << (1 + 2 * PARTS)) - 1) | SAVES_OUT(0) | SAVES_OUT(1),
	.exact = SAVES_OUT(0) | SAVES_OUT(1),
	.sample = lstm_sample,
	.sample_count = 3,
};

uint32_t op_lstm(struct tape *t, uint32_t x, const uint32_t parts[8])
{
	uint32_t in[1 + 2 * PARTS] = { x };

	memcpy(in + 1, parts, 2 * PARTS * sizeof(*in));
	return tape_record(t, &op_row_lstm, in, 1 + 2 * PARTS, NULL, 0);
}
