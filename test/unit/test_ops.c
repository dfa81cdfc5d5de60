/* test_ops: what every row of the op table must satisfy, on the row's own samples.
 *
 *   gradient   along random directions, against central differences of the forward with Richardson's extrapolation,
 *              (4·D(h/2) − D(h))/3: the error is of order h⁴, so h can be large enough for f32 outputs.
 *              Loss: Σ c∘output, c random
 *   bits       1, 2, 3 and 7 threads, in place or not, everything kept or recomputed: the same; of a sparse product
 *              with any number of rows
 *   kernels    every table this machine executes against ref
 *   guard      a step allocates nothing
 *
 * Dropout's mask and a batch's forest are drawn once for a sample and stay. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "../op_case.h"
#include "op/table.h"

enum { DIRECTIONS = 3 };
static const double step_size = 0.04, tolerance = 3e-3;

/* One sample, recorded and planned in one way. */
struct sample {
	const struct op *op;
	int number;
	struct arena mem;
	struct batch batch;
	struct tape tape;
	struct plan plan;
	struct run run;
	struct pool *pool;
	struct device device;
	uint32_t out, seed;
	float **data;                /* [n_tensors] of what is bound */
	size_t n_bound;
};

static bool is_bound(const struct tensor *x)
{
	return x->role != ROLE_ACT && x->role != ROLE_SCRATCH && x->role != ROLE_STACK;
}

static bool sample_record(struct test *t, struct sample *s)
{
	struct err e = ERR_INIT;
	struct rng_stream rng = { 1000 + (uint64_t)s->number };

	tape_init(&s->tape, &batch_sample_cap, true);
	batch_init(&s->batch, &batch_sample_cap);
	s->out = s->op->sample(&s->tape, &s->batch, &rng, s->number);
	CHECK_MSG(t, s->out, "%s", s->tape.err.msg);
	if (s->out && !s->op->starts_gradient) {
		struct tensor like = *tape_tensor(&s->tape, s->out);
		s->seed = tape_state(&s->tape, "seed", like.axis, like.n_dims, like.dim);
		tape_seed(&s->tape, s->out, s->seed);
	}
	bool fine = s->out && tape_backward(&s->tape, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	return fine;
}

/* Numbers of a tensor depend on its number alone, so that two ways of running a sample see the same. Gradients start
 * with rubbish: the first writer stores. */
static void sample_bind(struct sample *s)
{
	s->n_bound = s->tape.n_tensors;
	s->data = arena_array(&s->mem, s->n_bound, sizeof(*s->data));
	for (uint32_t i = 1; i < s->tape.n_tensors; i++) {
		const struct tensor *x = &s->tape.tensors[i];
		struct rng_stream rng = { 77 + i };
		if (!is_bound(x))
			continue;
		s->data[i] = random_floats(&s->mem, &rng, tensor_count(x));
		run_bind(&s->run, i, s->data[i]);
	}
}

static bool sample_begin(struct test *t, struct sample *s, const struct op *op, int number, const struct kernels *k,
                         int threads, const struct plan_options *o)
{
	struct err e = ERR_INIT;

	*s = (struct sample){ .op = op, .number = number, .pool = pool_new(threads) };
	if (!sample_record(t, s))
		return false;
	s->device = device_cpu(k, s->pool);
	bool fine = plan_make(&s->plan, &s->tape, k, o, &e) == 0 && run_init(&s->run, &s->plan, &s->device, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	if (fine)
		sample_bind(s);
	return fine;
}

static void sample_end(struct sample *s)
{
	run_release(&s->run);
	plan_release(&s->plan);
	tape_release(&s->tape);
	batch_release(&s->batch);
	arena_release(&s->mem);
	pool_free(s->pool);
}

static void sample_run(struct sample *s)
{
	mem_guard_arm();
	run_step(&s->run, &s->batch);
	mem_guard_disarm();
}

static size_t live_count(const struct sample *s, uint32_t id)
{
	const struct tensor *x = &s->tape.tensors[id];
	size_t n = tensor_live_rows(x, &s->batch);

	for (int i = 1; i < x->n_dims; i++)
		n *= x->dim[i];
	return n;
}

static double sample_loss(struct sample *s)
{
	const float *y = run_f32(&s->run, s->out), *c = s->seed ? s->data[s->seed] : NULL;
	double loss = 0;

	sample_run(s);
	for (size_t i = 0; i < live_count(s, s->out); i++)
		loss += c ? (double)c[i] * y[i] : -(double)s->batch.label_weight[i] * y[i];
	return loss;
}

/* --- gradients --- */

static double difference(struct sample *s, uint32_t x, const float *at, const float *direction, double h)
{
	size_t n = live_count(s, x);
	double loss[2];

	for (int side = 0; side < 2; side++) {
		for (size_t i = 0; i < n; i++)
			s->data[x][i] = (float)(at[i] + (side ? -h : h) * direction[i]);
		loss[side] = sample_loss(s);
	}
	memcpy(s->data[x], at, n * sizeof(*at));
	return (loss[0] - loss[1]) / (2 * h);
}

static void check_input(struct test *t, struct sample *s, uint32_t x)
{
	size_t n = live_count(s, x);
	uint32_t dx = tape_grad(&s->tape, x);
	struct rng_stream rng = { 5 + x };
	float *at = arena_array(&s->mem, n + 1, sizeof(*at)),
	      *gradient = arena_array(&s->mem, n + 1, sizeof(*gradient));

	CHECK_MSG(t, dx, "%s gets no gradient", s->tape.tensors[x].name);
	if (!dx)
		return;
	memcpy(at, s->data[x], n * sizeof(*at));
	sample_run(s);
	memcpy(gradient, s->data[dx], n * sizeof(*gradient));
	for (int k = 0; k < DIRECTIONS; k++) {
		float *d = random_floats(&s->mem, &rng, n);
		double along = 0, size = 0;
		for (size_t i = 0; i < n; i++) {
			along += (double)gradient[i] * d[i];
			size += (double)gradient[i] * gradient[i];
		}
		double want = (4 * difference(s, x, at, d, step_size / 2) - difference(s, x, at, d, step_size)) / 3;
		CHECK_MSG(t, fabs(along - want) <= tolerance * sqrt(size) + 1e-3,
		          "along %s: %.6f, by differences %.6f (the gradient's norm is %.4f)", s->tape.tensors[x].name,
		          along, want, sqrt(size));
	}
}

static void check_gradients(struct test *t, const struct op *op, int number, const struct kernels *k)
{
	struct sample s;
	/* the output can be looked at after the step */
	struct plan_options keep = { .keep_all = true, .no_inplace = true };

	if (sample_begin(t, &s, op, number, k, 1, &keep))
		for (uint32_t x = 1; x < s.tape.n_tensors; x++)
			if (s.tape.tensors[x].role == ROLE_PARAM)
				check_input(t, &s, x);
	sample_end(&s);
}

/* --- bits --- */

/* All that a run leaves: the output, where it is there to the end, and the parameters' gradients. */
static float *results(struct sample *s, struct arena *mem, size_t *n)
{
	float *all;

	*n = 0;
	for (uint32_t x = 1; x < s->tape.n_tensors; x++)
		*n += s->tape.tensors[x].role == ROLE_GRAD ? live_count(s, x) : 0;
	all = arena_array(mem, *n + 1, sizeof(*all));
	sample_run(s);
	*n = 0;
	for (uint32_t x = 1; x < s->tape.n_tensors; x++)
		if (s->tape.tensors[x].role == ROLE_GRAD) {
			memcpy(all + *n, s->data[x], live_count(s, x) * sizeof(*all));
			*n += live_count(s, x);
		}
	return all;
}

static float *results_of(struct test *t, struct arena *mem, const struct op *op, int number, const struct kernels *k,
                         int threads, const struct plan_options *o, size_t *n)
{
	struct sample s;
	float *all = NULL;

	if (sample_begin(t, &s, op, number, k, threads, o))
		all = results(&s, mem, n);
	sample_end(&s);
	return all;
}

static void check_bits(struct test *t, const struct op *op, int number, const struct kernels *k)
{
	static const struct { int threads; struct plan_options o; const char *what;
	} ways[] = {
		{ 2, { 0 }, "2 threads" },
		{ 3, { 0 }, "3 threads" },
		{ 7, { 0 }, "7 threads" },
		{ 1, { .no_inplace = true }, "not in place" },
		{ 1, { .keep_all = true }, "all kept" },
		{ 2, { .recompute_all = true }, "all recomputed" },
	};
	struct arena mem = ARENA_INIT;
	size_t n, m;
	const float *want = results_of(t, &mem, op, number, k, 1, &(struct plan_options){ 0 }, &n);

	for (size_t i = 0; want && i < ARRAY_LEN(ways); i++) {
		const float *got = results_of(t, &mem, op, number, k, ways[i].threads, &ways[i].o, &m);
		CHECK_MSG(t, got && m == n && !memcmp(got, want, n * sizeof(*got)), "sample %d: %s: other bits", number,
		          ways[i].what);
	}
	arena_release(&mem);
}

static void check_kernels(struct test *t, const struct op *op, int number)
{
	const struct kernels *all[KERNEL_SETS];
	size_t tables = kernels_all(all), n, m;
	struct arena mem = ARENA_INIT;
	const float *want = results_of(t, &mem, op, number, all[0], 1, NULL, &n);

	for (size_t i = 1; want && i < tables; i++) {
		const float *got = results_of(t, &mem, op, number, all[i], 1, NULL, &m);
		double *exact = arena_array(&mem, n + 1, sizeof(*exact));
		for (size_t k = 0; k < n; k++)
			exact[k] = want[k];
		CHECK_MSG(t, got && m == n && worst(got, exact, n) <= 2e-5, "sample %d: %s is off ref by %g", number,
		          all[i]->name, worst(got, exact, n));
	}
	arena_release(&mem);
}

/* --- how many rows there are --- */

enum { SPARSE_ROWS = 70, SPARSE_IN = 24, SPARSE_OUT = 19, SPARSE_K = 90 };

/* The number of the sample is that of its rows. */
static uint32_t sparse_rows(struct tape *t, struct batch *b, struct rng_stream *rng, int rows)
{
	size_t N = (size_t)rows;

	batch_sample(b, rng, rows, 50);
	uint32_t x = tape_param(t, "x", 2, (size_t[]){ N, SPARSE_IN }),
	         v = tape_param(t, "v", 1, (size_t[]){ SPARSE_K }),
	         at = tape_weight(t, "at", DTYPE_F32, 2, (size_t[]){ 2, SPARSE_K });
	return op_sparse(t, x, v, at, SPARSE_OUT, tape_param(t, "r", 2, (size_t[]){ N, SPARSE_OUT }));
}

/* What comes of the rows, and the gradient of what went in: one row after the other, both of a row together. */
static float *sparse_by_row(struct test *t, struct arena *mem, const struct kernels *k, int rows)
{
	static const struct op counted = { .name = "sparse by rows", .sample = sparse_rows };
	const size_t width = SPARSE_IN + SPARSE_OUT, N = (size_t)rows;
	float *all = arena_array(mem, N * width, sizeof(*all));
	struct sample s;

	if (sample_begin(t, &s, &counted, rows, k, 2, &(struct plan_options){ .keep_all = true, .no_inplace = true })) {
		float *at = s.data[3]; /* the third that is recorded; x is the first */
		for (size_t i = 0; i < SPARSE_K; i++) {
			at[i] = (float)(i * 7 % SPARSE_OUT);
			at[SPARSE_K + i] = (float)(i * 5 % SPARSE_IN);
		}
		sample_run(&s);
		const float *y = run_f32(&s.run, s.out), *dx = s.data[tape_grad(&s.tape, 1)];
		for (size_t i = 0; i < N; i++) {
			memcpy(all + i * width, y + i * SPARSE_OUT, SPARSE_OUT * sizeof(*all));
			memcpy(all + i * width + SPARSE_OUT, dx + i * SPARSE_IN, SPARSE_IN * sizeof(*all));
		}
	}
	sample_end(&s);
	return all;
}

static void test_sparse_rows(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	size_t tables = kernels_all(all);

	for (size_t i = 0; i < tables; i++) {
		struct arena mem = ARENA_INIT;
		const float *want = sparse_by_row(t, &mem, all[i], SPARSE_ROWS);
		test_case(t, "sparse: a row's bits are the same for any number of rows, %s", all[i]->name);
		for (int n = 1; n < SPARSE_ROWS; n++) {
			const float *got = sparse_by_row(t, &mem, all[i], n);
			CHECK_MSG(t, !memcmp(got, want, (size_t)n * (SPARSE_IN + SPARSE_OUT) * sizeof(*got)),
			          "%d rows: other bits than of %d", n, SPARSE_ROWS);
		}
		arena_release(&mem);
	}
}

void test_ops(struct test *t)
{
	struct err e = ERR_INIT;
	const struct kernels *k = kernels_get(NULL, &e);

	test_sparse_rows(t);
	for (size_t i = 0; op_table[i]; i++) {
		const struct op *op = op_table[i];
		if (!op->sample) { /* only ops that have no gradient may do without */
			test_case(t, "%s has no gradient", op->name);
			CHECK(t, !op->backward);
			continue;
		}
		test_case(t, "%s: gradient", op->name);
		for (int number = 0; number < op->sample_count; number++)
			check_gradients(t, op, number, k);
		test_case(t, "%s: bits, kernels", op->name);
		for (int number = 0; number < op->sample_count; number++) {
			check_bits(t, op, number, k);
			check_kernels(t, op, number);
		}
	}
}
