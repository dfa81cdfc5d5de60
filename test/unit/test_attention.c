/* test_attention: against plain double arithmetic over all pairs of rows, with the mask from the segments' ancestry
 * (not vis_end): causal, in a window, both ways, and with a cap of the scores. */
#include "../test.h"

#include <stdlib.h>

#include "../op_case.h"
#include "op/kv_cache.h"

struct shape { int N, H, G, D; int window; bool both_ways; float cap; };

struct data {
	struct shape s;
	size_t nq, nk;
	float *q, *k, *v, *d_o;
};

struct result { float *o, *dq, *dk, *dv; };

static struct arena mem;

static struct data data_draw(struct rng_stream *rng, struct shape s)
{
	struct data d = { .s = s, .nq = (size_t)s.N * (size_t)(s.H * s.D), .nk = (size_t)s.N * (size_t)(s.G * s.D) };
	d.q = random_floats(&mem, rng, d.nq);
	d.k = random_floats(&mem, rng, d.nk);
	d.v = random_floats(&mem, rng, d.nk);
	d.d_o = random_floats(&mem, rng, d.nq);
	for (size_t i = 0; i < d.nq; i++)
		d.q[i] *= 4; /* scores far enough apart that the softmax is not flat */
	return d;
}

static struct batch_cap cap_for(int rows)
{
	return (struct batch_cap){
		.rows = rows, .targets = rows, .labels = 2 * rows, .segments = 64, .docs = 64, .keys = rows
	};
}

static float scale_of(const struct shape *s)
{
	return 1.0F / sqrtf((float)s->D);
}

static struct attention_spec spec_of(const struct shape *s)
{
	return (struct attention_spec){ s->H, s->G, scale_of(s), s->cap, s->window, s->both_ways };
}

/* --- the definition --- */

static int segment_of(const struct batch *b, int row)
{
	for (int s = 0; s < b->n_segments; s++)
		if (row >= b->segments[s].start && row < b->segments[s].start + b->segments[s].len)
			return s;
	return -1;
}

/* A window counts positions in the document. */
static bool sees(const struct shape *x, const struct batch *b, int i, int j)
{
	int of = segment_of(b, j);

	if ((j > i && !x->both_ways) || (x->window && abs(b->pos[i] - b->pos[j]) >= x->window))
		return false;
	for (int s = segment_of(b, i); s >= 0; s = b->segments[s].parent)
		if (s == of)
			return true;
	return false;
}

struct wanted { double *o, *dq, *dk, *dv; };

static double dot(const float *a, const float *b, int D)
{
	double sum = 0;
	for (int d = 0; d < D; d++)
		sum += (double)a[d] * b[d];
	return sum;
}

static double capped(const struct shape *s, double score)
{
	return s->cap > 0 ? s->cap * tanh(score / s->cap) : score;
}

/* One row and head: P over all rows, then o and the gradients' terms. */
static void want_row(const struct data *x, const bool *seen, int i, int h, double *p, struct wanted *w)
{
	int D = x->s.D, ldq = x->s.H * D, ldk = x->s.G * D, g = h / (x->s.H / x->s.G);
	const float *q = x->q + i * ldq + h * D, *d_o = x->d_o + i * ldq + h * D;
	double max = -1e300, sum = 0, delta = 0, scale = scale_of(&x->s);

	for (int j = 0; j < x->s.N; j++) {
		p[j] = seen[j] ? capped(&x->s, scale * dot(q, x->k + j * ldk + g * D, D)) : -1e300;
		max = fmax(max, p[j]);
	}
	for (int j = 0; j < x->s.N; j++) {
		p[j] = seen[j] ? exp(p[j] - max) : 0;
		sum += p[j];
	}
	for (int j = 0; j < x->s.N; j++) {
		p[j] /= sum;
		delta += p[j] * dot(d_o, x->v + j * ldk + g * D, D);
		for (int d = 0; d < D; d++)
			w->o[i * ldq + h * D + d] += p[j] * x->v[j * ldk + g * D + d];
	}
	for (int j = 0; j < x->s.N; j++) {
		double ds = scale * p[j] * (dot(d_o, x->v + j * ldk + g * D, D) - delta);
		if (x->s.cap > 0)
			ds *= 1 - pow(capped(&x->s, scale * dot(q, x->k + j * ldk + g * D, D)) / x->s.cap, 2);
		for (int d = 0; d < D; d++) {
			w->dv[j * ldk + g * D + d] += p[j] * d_o[d];
			w->dq[i * ldq + h * D + d] += ds * x->k[j * ldk + g * D + d];
			w->dk[j * ldk + g * D + d] += ds * q[d];
		}
	}
}

static struct wanted want(const struct data *x, const struct batch *b)
{
	struct wanted w = { arena_array(&mem, x->nq, sizeof(double)), arena_array(&mem, x->nq, sizeof(double)),
		            arena_array(&mem, x->nk, sizeof(double)), arena_array(&mem, x->nk, sizeof(double)) };
	double *p = arena_array(&mem, (size_t)x->s.N, sizeof(*p));
	bool *seen = arena_array(&mem, (size_t)x->s.N, sizeof(*seen));

	for (int i = 0; i < x->s.N; i++) {
		for (int j = 0; j < x->s.N; j++)
			seen[j] = sees(&x->s, b, i, j);
		for (int h = 0; h < x->s.H; h++)
			want_row(x, seen, i, h, p, &w);
	}
	return w;
}

/* --- the op --- */

static uint32_t input(struct op_case *c, const char *name, bool wants, size_t rows, size_t cols)
{
	size_t dim[2] = { rows, cols };
	return wants ? tape_param(&c->t, name, 2, dim) : tape_weight(&c->t, name, DTYPE_F32, 2, dim);
}

static float *bind_grad(struct op_case *c, uint32_t x, size_t n)
{
	uint32_t g = tape_grad(&c->t, x);
	if (!g)
		return NULL;
	float *d = arena_array(&mem, n, sizeof(*d));
	memset(d, 0xFF, n * sizeof(*d)); /* the first writer stores */
	run_bind(&c->r, g, d);
	return d;
}

/* wants: bits of q, k, v. times: how often the same attention is recorded, its results added. */
static struct result attend(const struct data *x, const struct batch *b, const struct kernels *k, struct pool *pool,
                            unsigned wants, int times)
{
	struct op_case c = { 0 };
	size_t N = (size_t)x->s.N, C = (size_t)(x->s.H * x->s.D), kv = (size_t)(x->s.G * x->s.D);
	struct result r = { .o = arena_array(&mem, x->nq, sizeof(float)) };
	struct batch_cap cap = cap_for(x->s.N);

	op_case_init(&c, &cap, wants != 0);
	uint32_t q = input(&c, "q", wants & 1, N, C), key = input(&c, "k", wants & 2, N, kv),
		 v = input(&c, "v", wants & 4, N, kv);
	uint32_t o = op_attention(&c.t, q, key, v, spec_of(&x->s)), d_o = TENSOR_NONE;
	for (int i = 1; i < times; i++)
		o = op_add(&c.t, o, op_attention(&c.t, q, key, v, spec_of(&x->s)));
	if (wants) {
		d_o = tape_state(&c.t, "do", AXIS_FIXED, 2, (size_t[]){ N, C });
		tape_seed(&c.t, o, d_o);
	}
	op_case_plan(&c, k, pool);
	run_bind(&c.r, q, x->q);
	run_bind(&c.r, key, x->k);
	run_bind(&c.r, v, x->v);
	if (wants) {
		run_bind(&c.r, d_o, x->d_o);
		r.dq = bind_grad(&c, q, x->nq);
		r.dk = bind_grad(&c, key, x->nk);
		r.dv = bind_grad(&c, v, x->nk);
	}
	run_step(&c.r, b);
	if (times == 1)
		memcpy(r.o, run_f32(&c.r, o), x->nq * sizeof(float));
	op_case_release(&c);
	return r;
}

static const struct shape shapes[] = {
	{ 1, 1, 1, 8 },   { 17, 4, 2, 16 },  { 64, 2, 2, 6 },   { 65, 3, 1, 64 },
	{ 130, 4, 2, 8 }, { 200, 6, 2, 64 }, { 333, 2, 1, 10 },
	{ 333, 4, 2, 16, .window = 2 }, { 333, 4, 2, 16, .window = 7 }, { 333, 2, 1, 10, .window = 64 },
	{ 333, 2, 1, 10, .window = 100 }, { 333, 2, 1, 10, .window = 5000 }, { 200, 6, 2, 64, .cap = 2 },
	{ 333, 4, 2, 16, .both_ways = true }, { 333, 2, 1, 10, .both_ways = true, .window = 20 },
	{ 65, 3, 1, 64, .both_ways = true, .cap = 3 }, { 700, 2, 1, 8, .both_ways = true, .window = 130 },
	{ 700, 2, 2, 8, .window = 130, .cap = 4 },
};

/* Few long documents, so that a window cuts tiles off; both ways they share nothing. */
static void batch_for(struct batch *b, struct rng_stream *rng, const struct shape *s)
{
	struct batch_cap cap = cap_for(s->N);

	batch_init(b, &cap);
	batch_sample_sized(b, rng, s->N, 50, s->window || s->both_ways ? 7 : 40, 2 * s->N);
	for (int32_t g = 0; s->both_ways && g < b->n_segments; g++) {
		struct segment *own = &b->segments[g];
		*own = (struct segment){ own->start, own->len, -1, 0, own->start + own->len };
		b->tree[g] = own->start;
		for (int32_t i = own->start; i < own->end; i++) {
			b->pos[i] = b->key_pos[i] = i - own->start;
			b->vis_end[i] = own->end;
		}
	}
	if (s->both_ways) {
		b->n_trees = b->n_segments;
		b->tree[b->n_trees] = s->N;
	}
}

/* What the cost counts: exactly the pairs that see each other, where the window is a power of two. */
static void check_visible(struct test *t, const struct shape *s, const struct batch *b)
{
	struct live live = { .rows = s->N };
	double pairs = 0, counted;

	for (int32_t g = 0; g < b->n_segments; g++)
		live_see(&live, b->segments[g].pos0 + 1, b->segments[g].len);
	for (int i = 0; i < s->N; i++)
		for (int j = 0; j < s->N; j++)
			pairs += sees(s, b, i, j);
	counted = live_visible(&live, s->window, s->both_ways);
	bool exact = !(s->window & (s->window - 1));
	CHECK_MSG(t, exact ? counted == pairs : counted <= pairs && counted > 0.8 * pairs, "%g counted, %g seen",
	          counted, pairs);
}

static void test_definition(struct test *t, const struct kernels *k, struct pool *pool)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct rng_stream rng = { 100 + i };
		struct batch b;
		batch_for(&b, &rng, &shapes[i]);
		struct data x = data_draw(&rng, shapes[i]);
		struct wanted w = want(&x, &b);
		struct result r = attend(&x, &b, k, pool, 7, 1);
		test_case(t, "%s: N %d H %d G %d D %d, %d trees, %d segments, window %d%s, cap %g", k->name, x.s.N,
		          x.s.H, x.s.G, x.s.D, b.n_trees, b.n_segments, x.s.window,
		          x.s.both_ways ? ", both ways" : "", (double)x.s.cap);
		check_visible(t, &shapes[i], &b);
		CHECK_MSG(t, worst(r.o, w.o, x.nq) <= 2e-6, "o %g", worst(r.o, w.o, x.nq));
		CHECK_MSG(t, worst(r.dq, w.dq, x.nq) <= 5e-6, "dq %g", worst(r.dq, w.dq, x.nq));
		CHECK_MSG(t, worst(r.dk, w.dk, x.nk) <= 5e-6, "dk %g", worst(r.dk, w.dk, x.nk));
		CHECK_MSG(t, worst(r.dv, w.dv, x.nk) <= 5e-6, "dv %g", worst(r.dv, w.dv, x.nk));
		batch_release(&b);
		arena_release(&mem);
	}
}

static bool same(const float *a, const float *b, size_t n)
{
	return !a || memcmp(a, b, n * sizeof(*a)) == 0;
}

/* Any subset of gradients is the same as in the whole, and so is any number of threads. */
static void test_same_bits(struct test *t, const struct kernels *k, struct pool *pool)
{
	struct shape both[] = { { 140, 4, 2, 16 }, { 140, 3, 3, 8 }, { 300, 4, 2, 16, .window = 50 },
		                { 300, 4, 2, 8, .window = 70, .both_ways = true } };
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct rng_stream rng = { 7 };
		struct batch b;
		batch_for(&b, &rng, &both[i]);
		struct data x = data_draw(&rng, both[i]);
		struct result whole = attend(&x, &b, k, pool, 7, 1);
		for (unsigned wants = 0; wants < 7; wants++) {
			struct result r = attend(&x, &b, k, pool, wants, 1);
			test_case(t, "%s: gradients %u alone, H %d G %d", k->name, wants, both[i].H, both[i].G);
			CHECK(t, !r.dq == !(wants & 1) && !r.dk == !(wants & 2) && !r.dv == !(wants & 4));
			CHECK(t, same(r.o, whole.o, x.nq) && same(r.dq, whole.dq, x.nq) && same(r.dk, whole.dk, x.nk) &&
			      same(r.dv, whole.dv, x.nk));
		}
		static const int threads[] = { 1, 2, 3, 7 };
		for (size_t n = 0; n < ARRAY_LEN(threads); n++) {
			struct pool *other = pool_new(threads[n]);
			struct result r = attend(&x, &b, k, other, 7, 1);
			test_case(t, "%s: %d threads, H %d G %d", k->name, threads[n], both[i].H, both[i].G);
			CHECK(t, same(r.o, whole.o, x.nq) && same(r.dq, whole.dq, x.nq) && same(r.dk, whole.dk, x.nk) &&
			      same(r.dv, whole.dv, x.nk));
			pool_free(other);
		}
		batch_release(&b);
		arena_release(&mem);
	}
}

/* Recorded twice on the same inputs: the second gradient is added to the first. */
static void test_accumulates(struct test *t, const struct kernels *k, struct pool *pool)
{
	struct shape both[] = { { 70, 4, 2, 8 }, { 70, 3, 3, 8 } };
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		struct rng_stream rng = { 9 };
		struct batch_cap cap = cap_for(70);
		struct batch b;
		batch_init(&b, &cap);
		batch_sample_sized(&b, &rng, 70, 50, 20, 100);
		struct data x = data_draw(&rng, both[i]);
		struct wanted w = want(&x, &b);
		for (size_t n = 0; n < x.nq; n++)
			w.dq[n] *= 2;
		for (size_t n = 0; n < x.nk; n++) {
			w.dk[n] *= 2;
			w.dv[n] *= 2;
		}
		struct result r = attend(&x, &b, k, pool, 7, 2);
		test_case(t, "%s: gradients add up, H %d G %d", k->name, both[i].H, both[i].G);
		CHECK(t, worst(r.dq, w.dq, x.nq) <= 5e-6 && worst(r.dk, w.dk, x.nk) <= 5e-6 &&
		                 worst(r.dv, w.dv, x.nk) <= 5e-6);
		batch_release(&b);
		arena_release(&mem);
	}
}

/* --- the forest against separate documents --- */

/* Rows of the document that ends with segment `leaf`, in order. */
static int document_rows(const struct batch *b, int leaf, int *row)
{
	int n = b->segments[leaf].pos0 + b->segments[leaf].len;
	for (int s = leaf; s >= 0; s = b->segments[s].parent)
		for (int i = 0; i < b->segments[s].len; i++)
			row[b->segments[s].pos0 + i] = b->segments[s].start + i;
	return n;
}

static void one_document(struct batch *b, const struct batch_cap *cap, int n)
{
	batch_init(b, cap);
	b->n_rows = b->n_keys = n;
	b->n_segments = b->n_docs = b->n_trees = 1;
	b->segments[0] = (struct segment){ .len = n, .parent = -1, .end = n };
	b->tree[1] = n;
	for (int i = 0; i < n; i++) {
		b->pos[i] = b->key[i] = i;
		b->key_pos[i] = i;
		b->vis_end[i] = n;
	}
}

static void take_rows(float *dst, const float *src, const int *row, int n, size_t C)
{
	for (int i = 0; i < n; i++)
		memcpy(dst + (size_t)i * C, src + (size_t)row[i] * C, C * sizeof(float));
}

static void add_rows(double *dst, const float *src, const int *row, int n, size_t C)
{
	for (int i = 0; i < n; i++)
		for (size_t c = 0; c < C; c++)
			dst[(size_t)row[i] * C + c] += src[(size_t)i * C + c];
}

static void test_forest(struct test *t, const struct kernels *k, struct pool *pool)
{
	struct shape s = { 210, 4, 2, 16 };
	struct rng_stream rng = { 21 };
	struct batch_cap cap = cap_for(s.N);
	struct batch b;
	int row[210];

	batch_init(&b, &cap);
	batch_sample_sized(&b, &rng, s.N, 50, 40, 300);
	struct data x = data_draw(&rng, s);
	size_t C = (size_t)(s.H * s.D), kv = (size_t)(s.G * s.D);
	double *o = arena_array(&mem, x.nq, sizeof(*o)), *dq = arena_array(&mem, x.nq, sizeof(*o));
	double *dk = arena_array(&mem, x.nk, sizeof(*o)), *dv = arena_array(&mem, x.nk, sizeof(*o));
	double off = 0;
	float *total = arena_array(&mem, x.nq, sizeof(*total));

	for (int leaf = 0; leaf < b.n_segments; leaf++) {
		if (b.segments[leaf].end != b.segments[leaf].start + b.segments[leaf].len)
			continue;
		struct batch one;
		int n = document_rows(&b, leaf, row);
		struct data y = data_draw(&rng, (struct shape){ n, s.H, s.G, s.D });
		take_rows(y.q, x.q, row, n, C);
		take_rows(y.k, x.k, row, n, kv);
		take_rows(y.v, x.v, row, n, kv);
		for (int i = 0; i < n; i++) /* every document brings its own gradient; the forest's is their sum */
			for (size_t c = 0; c < C; c++)
				total[(size_t)row[i] * C + c] += y.d_o[(size_t)i * C + c];
		one_document(&one, &cap, n);
		struct result r = attend(&y, &one, k, pool, 7, 1);
		memset(o, 0, x.nq * sizeof(*o));
		add_rows(o, r.o, row, n, C);
		struct result whole = attend(&x, &b, k, pool, 0, 1);
		for (int i = 0; i < n; i++)
			off = fmax(off, worst(whole.o + (size_t)row[i] * C, o + (size_t)row[i] * C, C));
		add_rows(dq, r.dq, row, n, C);
		add_rows(dk, r.dk, row, n, kv);
		add_rows(dv, r.dv, row, n, kv);
		batch_release(&one);
	}
	x.d_o = total;
	struct result r = attend(&x, &b, k, pool, 7, 1);
	test_case(t, "%s: forest of %d segments against its %d documents", k->name, b.n_segments, b.n_docs);
	CHECK_MSG(t, off <= 1e-5, "outputs %g", off);
	CHECK_MSG(t, worst(r.dq, dq, x.nq) <= 1e-5, "dq %g", worst(r.dq, dq, x.nq));
	CHECK_MSG(t, worst(r.dk, dk, x.nk) <= 1e-5, "dk %g", worst(r.dk, dk, x.nk));
	CHECK_MSG(t, worst(r.dv, dv, x.nk) <= 1e-5, "dv %g", worst(r.dv, dv, x.nk));
	batch_release(&b);
	arena_release(&mem);
}

/* --- sessions: keys and values in a cache --- */

enum { CONTEXT = 1024, TOKENS = 600 }; /* three ranges of keys, the last not whole */

/* Feeds the tokens in chunks of the given sizes, ended by 0; o gets all rows. */
static void feed(const struct data *x, const struct kernels *k, struct pool *pool, enum dtype type, const int *chunks,
                 float *o)
{
	struct op_case c = { 0 };
	struct batch_cap cap = { .rows = TOKENS, .targets = 1, .labels = 1, .segments = 1, .docs = 1, .keys = CONTEXT,
		                 .memories = 2 };
	size_t C = (size_t)(x->s.H * x->s.D), kv = (size_t)(x->s.G * x->s.D);
	struct batch b;

	op_case_init(&c, &cap, false);
	uint32_t q = tape_state(&c.t, "q", AXIS_ROWS, 2, (size_t[]){ TOKENS, C });
	uint32_t k_new = tape_state(&c.t, "k", AXIS_ROWS, 2, (size_t[]){ TOKENS, kv });
	uint32_t v_new = tape_state(&c.t, "v", AXIS_ROWS, 2, (size_t[]){ TOKENS, kv });
	size_t width = kv_width(type, (size_t)x->s.G, (size_t)x->s.D);
	uint32_t k_cache = tape_cache(&c.t, "k_cache", 1, type, CONTEXT, width);
	uint32_t v_cache = tape_cache(&c.t, "v_cache", 1, type, CONTEXT, width);
	uint32_t out = op_attention(&c.t, q, op_put_keys(&c.t, k_new, k_cache, x->s.G),
	                            op_put_values(&c.t, v_new, v_cache, x->s.G), spec_of(&x->s));
	op_case_plan(&c, k, pool);
	run_bind(&c.r, k_cache, arena_array(&mem, CONTEXT * width, sizeof(float)));
	run_bind(&c.r, v_cache, arena_array(&mem, CONTEXT * width, sizeof(float)));
	batch_init(&b, &cap);
	for (int r = 0; r < CONTEXT / KV_RANGE; r++) /* ranges in any order */
		b.place[CONTEXT / KV_RANGE + r] = (r * 3 + 2) % (CONTEXT / KV_RANGE);
	for (size_t at = 0; *chunks; at += (size_t)*chunks++) {
		b.n_rows = *chunks;
		b.n_keys = (int32_t)at + *chunks;
		for (int i = 0; i < *chunks; i++) {
			b.key[i] = b.pos[i] = b.key_pos[at + (size_t)i] = (int32_t)at + i;
			b.vis_end[at + (size_t)i] = INT32_MAX;
		}
		run_bind(&c.r, q, x->q + at * C);
		run_bind(&c.r, k_new, x->k + at * kv);
		run_bind(&c.r, v_new, x->v + at * kv);
		run_step(&c.r, &b);
		memcpy(o + at * C, run_f32(&c.r, out), (size_t)*chunks * C * sizeof(float));
	}
	batch_release(&b);
	op_case_release(&c);
}

/* Rows one by one, two, a tile and more together, within a range and across its end; heads that fill blocks of 32 and
 * others; groups that are multiplied as they are stored and one that is packed. */
static void test_session(struct test *t, const struct kernels *k, struct pool *pool)
{
	/* What rounding of numbers of about 1 leaves of a weighted mean: the last place of 11 bits, half a step of
	 * 127. */
	static const struct {
		enum dtype type;
		double off;
	} kept[] = { { DTYPE_F32, 2e-6 }, { DTYPE_F16, 2e-3 }, { DTYPE_BF16, 2e-2 }, { DTYPE_Q8_0, 2e-2 } };
	static const struct shape some[] = {
		{ TOKENS, 6, 2, 16 }, { TOKENS, 3, 1, 64 }, { TOKENS, 8, 1, 32 }, { TOKENS, 2, 2, 80 },
		{ TOKENS, 3, 1, 64, .window = 5 }, { TOKENS, 6, 2, 16, .window = 300 },
		{ TOKENS, 3, 1, 64, .window = 130, .cap = 4 }
	};
	struct pool *three = pool_new(3);
	struct batch_cap cap = cap_for(TOKENS);
	struct batch b;

	one_document(&b, &cap, TOKENS);
	for (size_t n = 0; n < ARRAY_LEN(some); n++) {
		struct rng_stream rng = { 31 + n };
		struct data x = data_draw(&rng, some[n]);
		float *at_once = arena_array(&mem, x.nq, sizeof(float)),
		      *in_parts = arena_array(&mem, x.nq, sizeof(float));
		struct wanted w = want(&x, &b);
		for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
			const char *type = dtypes[kept[i].type].name;
			feed(&x, k, pool, kept[i].type, (int[]){ TOKENS, 0 }, at_once);
			feed(&x, k, three, kept[i].type, (int[]){ 70, 1,  1,  1,  3,  64, 1,  9, 100, 2, 1, 2, 2, 1,
			                                          1,  64, 64, 64, 64, 1,  58, 2, 17,  1, 1, 5, 0 },
			     in_parts);
			test_case(t, "%s: a cache in %s, larger than the text, H %d G %d D %d, window %d",
			          k->name, type, x.s.H, x.s.G, x.s.D, x.s.window);
			CHECK_MSG(t, worst(at_once, w.o, x.nq) <= kept[i].off, "%g", worst(at_once, w.o, x.nq));
			test_case(t, "%s: in parts and by 3 threads as at once, bit for bit, in %s, H %d G %d D %d",
			          k->name, type, x.s.H, x.s.G, x.s.D);
			CHECK(t, same(in_parts, at_once, x.nq));
		}
		arena_release(&mem);
	}
	batch_release(&b);
	pool_free(three);
}

static void test_refusals(struct test *t)
{
	struct batch_cap cap = cap_for(4);
	struct tape tape;
	tape_init(&tape, &cap, true);
	uint32_t q = tape_param(&tape, "q", 2, (size_t[]){ 4, 12 });
	uint32_t k = tape_state(&tape, "cache", AXIS_FIXED, 2, (size_t[]){ 4, 12 });
	test_case(t, "a gradient through a cache is refused");
	CHECK(t, op_attention(&tape, q, k, k, (struct attention_spec){ 2, 2, 1 }) == TENSOR_NONE);
	CHECK(t, strstr(tape.err.msg, "no gradient"));
	tape_release(&tape);
	tape_init(&tape, &cap, false);
	q = tape_param(&tape, "q", 2, (size_t[]){ 4, 12 });
	k = tape_param(&tape, "k", 2, (size_t[]){ 4, 8 });
	test_case(t, "heads that do not fit are refused");
	CHECK(t, op_attention(&tape, q, k, k, (struct attention_spec){ 3, 3, 1 }) == TENSOR_NONE);
	CHECK(t, strstr(tape.err.msg, "rows of 3 heads of 4"));
	tape_release(&tape);
	tape_init(&tape, &cap, false);
	q = tape_state(&tape, "q", AXIS_ROWS, 2, (size_t[]){ 4, 12 });
	k = tape_cache(&tape, "cache", 0, DTYPE_F32, KV_RANGE, 12);
	test_case(t, "both ways through a cache is refused");
	CHECK(t, op_attention(&tape, q, k, k, (struct attention_spec){ 3, 3, 1, .both_ways = true }) == TENSOR_NONE);
	CHECK(t, strstr(tape.err.msg, "to come"));
	tape_release(&tape);
}

void test_attention(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	struct pool *pool = pool_new(2);
	size_t n = kernels_all(all);

	for (size_t i = 0; i < n; i++) {
		test_definition(t, all[i], pool);
		test_same_bits(t, all[i], pool);
		test_accumulates(t, all[i], pool);
		test_forest(t, all[i], pool);
		test_session(t, all[i], pool);
	}
	test_refusals(t);
	pool_free(pool);
}
