/* test_logprob: token_logprob, and its second form with the gradient −weight from above, against plain double
 * arithmetic over the whole matrix of logits, in one block, range and tile and in several. */
#include "../test.h"

#include "../op_case.h"
#include "base/io.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "quant/panels.h"
#include "quant/quant.h"

struct shape {
	int N, V, C;
	enum dtype dtype;
	bool train_x, train_head;
	int r; /* of what an adapter adds, 0: nothing */
	bool train_low, bias;
	float scale, cap;
	bool above;
	int r2; /* of a second term */
	float z_loss;
};

struct data {
	float *x, *w;               /* w: the head as floats */
	uint16_t *half;             /* the head in f16, or NULL */
	/* of a head in Q8_0, for int8 arithmetic: its panels, and those of its transpose */
	void *panels, *transposed;
	float *u, *up, *u2, *up2, *bias;
};

struct result { float *logp, *dx, *dw, *du, *dup, *db, *du2, *dup2; };
struct wanted { double *logp, *dx, *dw, *du, *dup, *db, *du2, *dup2; };

static struct arena mem;

static struct data data_draw(struct rng_stream *rng, const struct shape *s, int R)
{
	struct data d = { random_floats(&mem, rng, (size_t)R * (size_t)s->C),
		          random_floats(&mem, rng, (size_t)s->V * (size_t)s->C),
		          .u = random_floats(&mem, rng, (size_t)R * (size_t)s->r),
		          .up = random_floats(&mem, rng, (size_t)s->V * (size_t)s->r),
		          .u2 = random_floats(&mem, rng, (size_t)R * (size_t)s->r2),
		          .up2 = random_floats(&mem, rng, (size_t)s->V * (size_t)s->r2),
		          .bias = random_floats(&mem, rng, (size_t)s->V) };
	if (s->dtype == DTYPE_F16) {
		d.half = arena_array(&mem, (size_t)s->V * (size_t)s->C, sizeof(uint16_t));
		for (size_t i = 0; i < (size_t)s->V * (size_t)s->C; i++) {
			d.half[i] = f16_from_float(d.w[i]);
			d.w[i] = f16_to_float(d.half[i]);
		}
	}
	return d;
}

/* The head, scaled, in Q8_0: its numbers are then what was rounded. */
static void data_quantize(struct data *d, const struct shape *s, float scale)
{
	size_t V = (size_t)s->V, C = (size_t)s->C;
	void *q = arena_alloc64(&mem, V * C / 32 * 34);
	float *t = arena_array(&mem, V * C, sizeof(float));

	for (size_t i = 0; i < V * C; i++)
		d->w[i] *= scale;
	q8_0_from_float(d->w, q, V * C);
	dtypes[DTYPE_Q8_0].to_float(q, d->w, V * C);
	d->panels = arena_alloc64(&mem, panels_bytes(DTYPE_Q8_0, V, C));
	panels_make(DTYPE_Q8_0, q, V, C, 0, (V + PANEL_ROWS - 1) / PANEL_ROWS, d->panels);
	for (size_t v = 0; v < V; v++)
		for (size_t c = 0; c < C; c++)
			t[c * V + v] = d->w[v * C + c];
	q8_0_from_float(t, q, V * C);
	d->transposed = arena_alloc64(&mem, panels_bytes(DTYPE_Q8_0, C, V));
	panels_make(DTYPE_Q8_0, q, C, V, 0, (C + PANEL_ROWS - 1) / PANEL_ROWS, d->transposed);
}

static struct wanted want(const struct shape *s, const struct data *d, const struct batch *b)
{
	size_t V = (size_t)s->V, C = (size_t)s->C, R = (size_t)b->n_targets, K = (size_t)s->r, K2 = (size_t)s->r2;
	struct wanted w = { arena_array(&mem, (size_t)b->n_labels + 1, sizeof(double)),
		            arena_array(&mem, R * C + 1, sizeof(double)), arena_array(&mem, V * C, sizeof(double)),
		            arena_array(&mem, R * K + 1, sizeof(double)),
		            arena_array(&mem, V * K + 1, sizeof(double)), arena_array(&mem, V, sizeof(double)),
		            arena_array(&mem, R * K2 + 1, sizeof(double)),
		            arena_array(&mem, V * K2 + 1, sizeof(double)) };
	double scale = s->scale == 0 ? 1 : s->scale;
	double *z = arena_array(&mem, V, sizeof(*z));

	for (size_t r = 0; r < R; r++) {
		double max = -1e300, sum = 0;
		for (size_t v = 0; v < V; v++) {
			z[v] = s->bias ? d->bias[v] : 0;
			for (size_t c = 0; c < C; c++)
				z[v] += scale * d->x[r * C + c] * d->w[v * C + c];
			for (size_t c = 0; c < K; c++)
				z[v] += (double)d->u[r * K + c] * d->up[v * K + c];
			for (size_t c = 0; c < K2; c++)
				z[v] += (double)d->u2[r * K2 + c] * d->up2[v * K2 + c];
			if (s->cap > 0)
				z[v] = s->cap * tanh(z[v] / s->cap);
			max = fmax(max, z[v]);
		}
		for (size_t v = 0; v < V; v++)
			sum += exp(z[v] - max);
		for (int p = 0; p < b->n_labels; p++) {
			if ((size_t)b->label_target[p] != r)
				continue;
			size_t token = (size_t)b->label_token[p];
			w.logp[p] = z[token] - max - log(sum);
			double more = 1 + 2 * s->z_loss * (max + log(sum));
			for (size_t v = 0; v < V; v++) {
				double g = b->label_weight[p] * (more * exp(z[v] - max) / sum - (v == token));
				g *= s->cap > 0 ? 1 - pow(z[v] / s->cap, 2) : 1;
				for (size_t c = 0; c < C; c++) {
					w.dx[r * C + c] += scale * g * d->w[v * C + c];
					w.dw[v * C + c] += scale * g * d->x[r * C + c];
				}
				w.db[v] += g;
				for (size_t c = 0; c < K; c++) {
					w.du[r * K + c] += g * d->up[v * K + c];
					w.dup[v * K + c] += g * d->u[r * K + c];
				}
				for (size_t c = 0; c < K2; c++) {
					w.du2[r * K2 + c] += g * d->up2[v * K2 + c];
					w.dup2[v * K2 + c] += g * d->u2[r * K2 + c];
				}
			}
		}
	}
	return w;
}

static float *bind_grad(struct op_case *c, uint32_t x, size_t n)
{
	uint32_t g = tape_grad(&c->t, x);
	if (!g)
		return NULL;
	float *d = arena_array(&mem, n, sizeof(*d));
	memset(d, 0xFF, n * sizeof(*d));
	run_bind(&c->r, g, d);
	return d;
}

static uint32_t seed_from_above(struct tape *t, uint32_t logp)
{
	uint32_t seed = tape_state(t, "seed", AXIS_LABELS, 1, (size_t[]){ (size_t)t->cap.labels });

	tape_seed(t, logp, seed);
	return seed;
}

static float *negative_weights(const struct batch *b)
{
	float *d = arena_array(&mem, (size_t)b->n_labels + 1, sizeof(*d));

	for (int p = 0; p < b->n_labels; p++)
		d[p] = -b->label_weight[p];
	return d;
}

/* The step is run twice; the gradient must be that of the last alone. */
static struct result logprob(const struct shape *s, const struct data *d, const struct batch *b,
                             const struct kernels *k, struct pool *pool)
{
	struct op_case c = { 0 };
	size_t V = (size_t)s->V, C = (size_t)s->C, R = (size_t)b->n_targets, K = (size_t)s->r, K2 = (size_t)s->r2;
	struct result r = { .logp = arena_array(&mem, (size_t)b->n_labels + 1, sizeof(float)) };

	op_case_init(&c, &b->cap, s->train_x || s->train_head || s->train_low);
	size_t x_dim[2] = { R, C }, head_dim[2] = { V, C };
	uint32_t x = s->train_x ? tape_param(&c.t, "x", 2, x_dim) : tape_weight(&c.t, "x", DTYPE_F32, 2, x_dim);
	uint32_t head = s->train_head ? tape_param(&c.t, "head", 2, head_dim) :
	                                tape_weight(&c.t, "head", s->dtype, 2, head_dim);
	uint32_t u = s->r ? tape_param(&c.t, "u", 2, (size_t[]){ R, K }) : TENSOR_NONE,
		 up = s->r ? tape_param(&c.t, "up", 2, (size_t[]){ V, K }) : TENSOR_NONE;
	uint32_t turned =
		s->dtype == DTYPE_Q8_0 ? tape_weight(&c.t, "turned", DTYPE_Q8_0, 2, (size_t[]){ C, V }) : TENSOR_NONE;
	if (turned)
		c.t.tensors[head].panels = c.t.tensors[turned].panels = true;
	uint32_t bias = s->bias ? tape_param(&c.t, "bias", 1, &V) : TENSOR_NONE;
	struct linear l = { .x = x, .w = head, .term = { { u, up } }, .bias = bias, .scale = s->scale,
		            .int8 = turned != TENSOR_NONE, .wt = turned };
	if (s->r2)
		l.term[1] = (struct linear_term){ tape_param(&c.t, "u2", 2, (size_t[]){ R, K2 }),
			                          tape_param(&c.t, "up2", 2, (size_t[]){ V, K2 }) };
	uint32_t stat, logp = s->above ? op_token_logprob_from_above(&c.t, &l, s->cap) :
	                                 op_token_logprob_z(&c.t, &l, s->cap, s->z_loss, &stat);
	uint32_t seed = s->above && c.t.gradients ? seed_from_above(&c.t, logp) : TENSOR_NONE;
	op_case_plan(&c, k, pool);
	if (seed)
		run_bind(&c.r, seed, negative_weights(b));
	if (turned)
		run_bind(&c.r, turned, d->transposed);
	if (s->r) {
		run_bind(&c.r, u, d->u);
		run_bind(&c.r, up, d->up);
		r.du = bind_grad(&c, u, R * K);
		r.dup = bind_grad(&c, up, V * K);
	}
	if (s->r2) {
		run_bind(&c.r, l.term[1].u, d->u2);
		run_bind(&c.r, l.term[1].up, d->up2);
		r.du2 = bind_grad(&c, l.term[1].u, R * K2);
		r.dup2 = bind_grad(&c, l.term[1].up, V * K2);
	}
	if (s->bias) {
		run_bind(&c.r, bias, d->bias);
		r.db = bind_grad(&c, bias, V);
	}
	run_bind(&c.r, x, d->x);
	run_bind(&c.r, head, d->panels ? d->panels : d->half ? (void *)d->half : d->w);
	r.dx = bind_grad(&c, x, R * C);
	r.dw = bind_grad(&c, head, V * C);
	run_step(&c.r, b);
	run_step(&c.r, b);
	memcpy(r.logp, run_f32(&c.r, logp), (size_t)b->n_labels * sizeof(float));
	op_case_release(&c);
	return r;
}

static const struct shape shapes[] = {
	{ 1, 2, 3, DTYPE_F32, true, true },
	{ 40, 67, 33, DTYPE_F32, true, true },
	{ 96, 100, 16, DTYPE_F16, true, false },
	{ 330, 9001, 7, DTYPE_F32, true, true },
	{ 500, 130, 20, DTYPE_F32, false, true },
	{ 300, 77, 8, DTYPE_F32, false, false },
	{ 600, 1024, 7, DTYPE_F32, true, true },
	{ 330, 131, 20, DTYPE_F16, true, false, 3, true },
	{ 40, 67, 33, DTYPE_F32, false, false, 8, true },
	{ 330, 9001, 7, DTYPE_F32, true, true, .bias = true, .scale = 0.5F },
	{ 330, 1131, 20, DTYPE_F16, true, false, 3, true, .bias = true, .scale = 3 },
	{ 300, 77, 8, DTYPE_F32, false, false, .bias = true },
	{ 330, 1131, 20, DTYPE_F16, true, false, 3, true, .r2 = 5 },
	{ 330, 9001, 7, DTYPE_F32, true, true, .cap = 2 },
	{ 330, 1131, 20, DTYPE_F16, true, false, 3, true, .bias = true, .scale = 3, .cap = 5, .r2 = 2 },
	{ 300, 77, 8, DTYPE_F32, false, false, .cap = 30 },
	{ 96, 700, 16, DTYPE_F32, true, true, .z_loss = 0.1F },
	{ 96, 1131, 20, DTYPE_F16, true, false, 3, true, .bias = true, .scale = 3, .cap = 5, .z_loss = 0.05F },
};

/* In both forms. */
static struct shape shape_of(size_t i)
{
	struct shape s = shapes[i / 2];

	s.above = i % 2;
	return s;
}

static void batch_for(struct batch *b, struct rng_stream *rng, const struct shape *s)
{
	struct batch_cap cap = {
		.rows = s->N, .targets = s->N, .labels = 3 * s->N, .segments = 64, .docs = 64, .keys = s->N
	};
	batch_init(b, &cap);
	batch_sample_sized(b, rng, s->N, s->V, 30, 3 * s->N);
}

static void test_definition(struct test *t, const struct kernels *k, struct pool *pool)
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(shapes); i++) {
		struct shape shape = shape_of(i), *s = &shape;
		if (s->above && s->z_loss > 0)
			continue;
		struct rng_stream rng = { 40 + i / 2 };
		struct batch b;
		batch_for(&b, &rng, s);
		struct data d = data_draw(&rng, s, b.n_targets);
		struct wanted w = want(s, &d, &b);
		struct result r = logprob(s, &d, &b, k, pool);
		double off = worst(r.logp, w.logp, (size_t)b.n_labels);
		test_case(t, "%s: %d targets, %d labels, V %d, C %d%s", k->name, b.n_targets, b.n_labels, s->V, s->C,
		          s->above ? ", from above" : "");
		CHECK_MSG(t, off <= 1e-6, "log p %g", off);
		CHECK(t, !r.dx == !s->train_x && !r.dw == !s->train_head);
		if (r.dx && (off = worst(r.dx, w.dx, (size_t)b.n_targets * (size_t)s->C)) > 3e-6)
			CHECK_MSG(t, 0, "dx %g", off);
		if (r.du && (off = worst(r.du, w.du, (size_t)(b.n_targets * s->r))) > 3e-6)
			CHECK_MSG(t, 0, "du %g", off);
		if (r.dup && (off = worst(r.dup, w.dup, (size_t)(s->V * s->r))) > 3e-6)
			CHECK_MSG(t, 0, "dU %g", off);
		CHECK(t, !r.du == !s->train_low && !r.dup == !s->train_low);
		if (r.du2 && (off = worst(r.du2, w.du2, (size_t)(b.n_targets * s->r2))) > 3e-6)
			CHECK_MSG(t, 0, "du of the second term %g", off);
		if (r.dup2 && (off = worst(r.dup2, w.dup2, (size_t)(s->V * s->r2))) > 3e-6)
			CHECK_MSG(t, 0, "dU of the second term %g", off);
		CHECK(t, !r.db == !(s->bias && (s->train_x || s->train_head || s->train_low)));
		if (r.db && (off = worst(r.db, w.db, (size_t)s->V)) > 3e-6)
			CHECK_MSG(t, 0, "dbias %g", off);
		if (r.dw && (off = worst(r.dw, w.dw, (size_t)s->V * (size_t)s->C)) > 3e-6)
			CHECK_MSG(t, 0, "dW %g", off);
		batch_release(&b);
		arena_release(&mem);
	}
}

static bool same(const float *a, const float *b, size_t n)
{
	return (!a && !b) || memcmp(a, b, n * sizeof(*a)) == 0;
}

static void test_threads(struct test *t, const struct kernels *k, bool above)
{
	static const int threads[] = { 1, 2, 3, 7 };
	struct shape s = { 330, 9001, 20, DTYPE_F32, true, true, 5, true, .bias = true, .above = above };
	struct rng_stream rng = { 3 };
	struct batch b;
	struct result first = { 0 };

	batch_for(&b, &rng, &s);
	struct data d = data_draw(&rng, &s, b.n_targets);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct pool *pool = pool_new(threads[i]);
		struct result r = logprob(&s, &d, &b, k, pool);
		if (i == 0)
			first = r;
		test_case(t, "%s: %d threads%s", k->name, threads[i], above ? ", from above" : "");
		CHECK(t, same(r.logp, first.logp, (size_t)b.n_labels) &&
		                 same(r.dx, first.dx, (size_t)(b.n_targets * s.C)) &&
		                 same(r.dw, first.dw, (size_t)(s.V * s.C)) &&
		                 same(r.du, first.du, (size_t)(b.n_targets * s.r)) &&
		                 same(r.dup, first.dup, (size_t)(s.V * s.r)) && same(r.db, first.db, (size_t)s.V));
		pool_free(pool);
	}
	/* Scoring does not know gradients and must say the same. */
	struct pool *pool = pool_new(2);
	s.train_x = s.train_head = s.train_low = false;
	struct result r = logprob(&s, &d, &b, k, pool);
	test_case(t, "%s: scored as in training", k->name);
	CHECK(t, same(r.logp, first.logp, (size_t)b.n_labels));
	pool_free(pool);
	batch_release(&b);
	arena_release(&mem);
}

/* |x − want| over |want|, as vectors */
static double relative(const float *x, const double *want, size_t n)
{
	double off = 0, size = 0;

	for (size_t i = 0; i < n; i++) {
		off += (x[i] - want[i]) * (x[i] - want[i]);
		size += want[i] * want[i];
	}
	return sqrt(off / size);
}

/* In int8 near the truth, also where the pairs' tokens are nearly sure and what is left of the gradient is a hundredth
 * of its terms; any threads, same bits. */
static void test_int8_head(struct test *t, const struct kernels *k)
{
	static const struct { struct shape s; float scale, sure; double off;
	} cases[] = {
		{ { 300, 1120, 64, DTYPE_Q8_0, true, false }, 0.5F, 0, 0.02 },
		{ { 300, 1120, 64, DTYPE_Q8_0, true, false }, 1, 0.6F, 0.03 },
		{ { 60, 96, 64, DTYPE_Q8_0, true, false, 3, true }, 0.5F, 0, 0.02 },
		{ { 40, 32, 32, DTYPE_Q8_0, true, false }, 1, 0, 0.02 },
		{ { 60, 96, 64, DTYPE_Q8_0, true, false, 3, true, .bias = true, .scale = 0.5F }, 1, 0, 0.02 },
		{ { 300, 1120, 64, DTYPE_Q8_0, true, false, .above = true }, 0.5F, 0, 0.02 },
		{ { 300, 1120, 64, DTYPE_Q8_0, true, false, .above = true }, 1, 0.6F, 0.03 },
		{ { 60, 96, 64, DTYPE_Q8_0, true, false, 3, true, .bias = true, .scale = 2, .above = true },
		  0.5F, 0, 0.02 },
		{ { 300, 1120, 64, DTYPE_Q8_0, true, false, 3, true, .cap = 6 }, 0.5F, 0, 0.02 },
		{ { 300, 1120, 64, DTYPE_Q8_0, true, false, .bias = true, .cap = 30, .above = true }, 1, 0.6F, 0.03 },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct shape *s = &cases[i].s;
		struct rng_stream rng = { 70 + i };
		struct batch b;
		struct result r[2];
		batch_for(&b, &rng, s);
		struct data d = data_draw(&rng, s, b.n_targets);
		size_t C = (size_t)s->C, n = (size_t)b.n_targets * C;
		data_quantize(&d, s, cases[i].scale);
		/* rows look like the one token that they predict */
		for (int p = 0; p < b.n_labels && cases[i].sure > 0; p++) {
			b.label_token[p] = p && b.label_target[p] == b.label_target[p - 1] ? b.label_token[p - 1] :
			                                                                     b.label_token[p];
			for (size_t c = 0; c < C; c++)
				d.x[(size_t)b.label_target[p] * C + c] =
					cases[i].sure * d.w[(size_t)b.label_token[p] * C + c];
		}
		struct wanted w = want(s, &d, &b);
		for (int threads = 0; threads < 2; threads++) {
			struct pool *pool = pool_new(1 + 2 * threads);
			r[threads] = logprob(s, &d, &b, k, pool);
			pool_free(pool);
		}
		test_case(t, "%s: the head in int8, V %d, C %d, rank %d%s%s", k->name, s->V, s->C, s->r,
		          cases[i].sure > 0 ? ", sure of its tokens" : "", s->above ? ", from above" : "");
		CHECK_MSG(t, worst(r[0].logp, w.logp, (size_t)b.n_labels) < 0.02, "log p %g",
		          worst(r[0].logp, w.logp, (size_t)b.n_labels));
		CHECK_MSG(t, relative(r[0].dx, w.dx, n) < cases[i].off, "dx %g", relative(r[0].dx, w.dx, n));
		CHECK(t, same(r[0].dx, r[1].dx, n) && same(r[0].logp, r[1].logp, (size_t)b.n_labels));
		if (s->r) {
			size_t low = (size_t)(b.n_targets * s->r), up = (size_t)(s->V * s->r);
			CHECK_MSG(t, relative(r[0].du, w.du, low) < 0.02 && relative(r[0].dup, w.dup, up) < 0.02,
			          "du %g, dU %g", relative(r[0].du, w.du, low), relative(r[0].dup, w.dup, up));
			CHECK(t, same(r[0].du, r[1].du, low) && same(r[0].dup, r[1].dup, up));
		}
		if (s->bias)
			CHECK_MSG(t,
			          relative(r[0].db, w.db, (size_t)s->V) < 0.02 &&
			                  same(r[0].db, r[1].db, (size_t)s->V),
			          "dbias %g", relative(r[0].db, w.db, (size_t)s->V));
		batch_release(&b);
		arena_release(&mem);
	}
}

static void test_empty(struct test *t, const struct kernels *k, struct pool *pool, bool above)
{
	struct shape s = { 5, 11, 3, DTYPE_F32, false, true };
	struct rng_stream rng = { 4 };
	struct batch b;
	bool zero = true;

	batch_for(&b, &rng, &s);
	b.n_targets = b.n_labels = 0;
	struct data d = data_draw(&rng, &s, 5);
	struct op_case c = { 0 };
	op_case_init(&c, &b.cap, true);
	uint32_t x = tape_weight(&c.t, "x", DTYPE_F32, 2, (size_t[]){ 5, 3 });
	uint32_t head = tape_param(&c.t, "head", 2, (size_t[]){ 11, 3 });
	struct linear l = { .x = x, .w = head };
	uint32_t logp = (above ? op_token_logprob_from_above : op_token_logprob)(&c.t, &l, 0),
		 seed = above ? seed_from_above(&c.t, logp) : TENSOR_NONE;
	op_case_plan(&c, k, pool);
	if (seed)
		run_bind(&c.r, seed, negative_weights(&b));
	run_bind(&c.r, x, d.x);
	run_bind(&c.r, head, d.w);
	float *dw = bind_grad(&c, head, 33);
	run_step(&c.r, &b);
	test_case(t, "%s: nothing to predict leaves a gradient of zero%s", k->name, above ? ", from above" : "");
	for (size_t i = 0; i < 33; i++)
		zero &= dw[i] == 0;
	CHECK(t, zero);
	op_case_release(&c);
	batch_release(&b);
	arena_release(&mem);
}

/* embed → gather → head with one matrix for both, as in tied models: both gradients arrive in one buffer. */
static void test_tied(struct test *t, const struct kernels *k, struct pool *pool)
{
	struct shape s = { 90, 21, 10, DTYPE_F32, true, true };
	struct rng_stream rng = { 5 };
	struct batch b;
	struct op_case c = { 0 };

	batch_for(&b, &rng, &s);
	struct data d = data_draw(&rng, &s, 1);
	size_t V = 21, C = 10, R = (size_t)b.n_targets;
	op_case_init(&c, &b.cap, true);
	uint32_t table = tape_param(&c.t, "table", 2, (size_t[]){ V, C });
	uint32_t rows = op_gather(&c.t, op_embed(&c.t, table, EMBED_IDS));
	uint32_t logp = op_token_logprob(&c.t, &(struct linear){ .x = rows, .w = table }, 0);
	op_case_plan(&c, k, pool);
	run_bind(&c.r, table, d.w);
	float *dtable = bind_grad(&c, table, V * C);
	run_step(&c.r, &b);

	d.x = arena_array(&mem, R * C, sizeof(float));
	for (size_t r = 0; r < R; r++)
		memcpy(d.x + r * C, d.w + (size_t)b.ids[b.target_row[r]] * C, C * sizeof(float));
	struct wanted w = want(&s, &d, &b);
	for (size_t r = 0; r < R; r++)
		for (size_t i = 0; i < C; i++)
			w.dw[(size_t)b.ids[b.target_row[r]] * C + i] += w.dx[r * C + i];
	test_case(t, "%s: tied embedding and head", k->name);
	CHECK(t, logp != TENSOR_NONE);
	CHECK_MSG(t, worst(dtable, w.dw, V * C) <= 3e-6, "%g", worst(dtable, w.dw, V * C));
	op_case_release(&c);
	batch_release(&b);
	arena_release(&mem);
}

static const float *numbers(const struct safetensors *s, const char *name) { return st_find(s, name)->data; }

/* As torch differentiates it (tools/golden/z_loss.py). */
static void test_z_loss(struct test *t, const struct kernels *k, struct pool *pool)
{
	struct safetensors s;
	struct err e = ERR_INIT;
	struct op_case c = { 0 };
	struct batch b;
	char *path = io_join(test_golden(), "values/z_loss.safetensors");
	uint32_t stat;

	test_case(t, "%s: z-loss as torch's", k->name);
	CHECK_MSG(t, st_open(&s, path, &e) == 0, "%s", e.msg);
	size_t R = st_find(&s, "x")->dim[0], C = st_find(&s, "x")->dim[1], V = st_find(&s, "w")->dim[0],
	       M = st_find(&s, "z")->dim[0];
	batch_init(&b, &(struct batch_cap){ .rows = 16, .targets = (int32_t)R, .labels = (int32_t)M, .segments = 2,
	                                    .docs = 2, .keys = 16 });
	b.n_targets = (int32_t)R;
	b.n_labels = (int32_t)M;
	memcpy(b.label_target, numbers(&s, "target"), M * sizeof(*b.label_target));
	memcpy(b.label_token, numbers(&s, "token"), M * sizeof(*b.label_token));
	memcpy(b.label_weight, numbers(&s, "weight"), M * sizeof(*b.label_weight));
	op_case_init(&c, &b.cap, true);
	uint32_t x = tape_param(&c.t, "x", 2, (size_t[]){ R, C }), w = tape_param(&c.t, "w", 2, (size_t[]){ V, C });
	op_token_logprob_z(&c.t, &(struct linear){ .x = x, .w = w }, 0, *numbers(&s, "z_loss"), &stat);
	tape_keep(&c.t, stat);
	op_case_plan(&c, k, pool);
	run_bind(&c.r, x, (void *)numbers(&s, "x"));
	run_bind(&c.r, w, (void *)numbers(&s, "w"));
	float *dx = bind_grad(&c, x, R * C), *dw = bind_grad(&c, w, V * C);
	const float *want[2] = { numbers(&s, "dx"), numbers(&s, "dw") };
	run_step(&c.r, &b);
	for (size_t p = 0; p < M; p++) {
		const float *row = run_f32(&c.r, stat) + 2 * b.label_target[p];
		CHECK(t, fabsf(row[0] + logf(row[1]) - numbers(&s, "z")[p]) < 2e-6f);
	}
	for (size_t i = 0; i < R * C; i++)
		CHECK_MSG(t, fabsf(dx[i] - want[0][i]) < 5e-6f, "dx %zu: %.9g, not %.9g", i, dx[i], want[0][i]);
	for (size_t i = 0; i < V * C; i++)
		CHECK_MSG(t, fabsf(dw[i] - want[1][i]) < 5e-6f, "dW %zu: %.9g, not %.9g", i, dw[i], want[1][i]);
	op_case_release(&c);
	batch_release(&b);
	st_close(&s);
	mem_free(path);
	arena_release(&mem);
}

/* What a head has and is not computed would be dropped in silence. */
static void test_refused(struct test *t)
{
	for (int above = 0; above < 2; above++) {
		struct op_case c = { 0 };
		size_t dim[2] = { 4, 3 };
		op_case_init(&c, &batch_sample_cap, false);
		struct linear l = { .x = tape_weight(&c.t, "x", DTYPE_F32, 2, dim),
			            .w = tape_weight(&c.t, "head", DTYPE_F32, 2, dim),
			            .residual = tape_weight(&c.t, "residual", DTYPE_F32, 2, (size_t[]){ 4, 4 }) };
		test_case(t, "a head's residual is refused");
		CHECK(t, !(above ? op_token_logprob_from_above : op_token_logprob)(&c.t, &l, 0));
		CHECK(t, strstr(c.t.err.msg, "residual"));
		tape_release(&c.t);
	}
}

void test_logprob(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	struct pool *pool = pool_new(2);
	size_t n = kernels_all(all);

	test_refused(t);
	for (size_t i = 0; i < n; i++) {
		test_definition(t, all[i], pool);
		test_threads(t, all[i], false);
		test_threads(t, all[i], true);
		test_int8_head(t, all[i]);
		test_empty(t, all[i], pool, false);
		test_empty(t, all[i], pool, true);
		test_tied(t, all[i], pool);
		test_z_loss(t, all[i], pool);
	}
	pool_free(pool);
}
