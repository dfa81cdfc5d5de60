/* test_optimizers: every row of the optimizers' table: what it promises of memory, threads, checkpoints, roles and
 * groups, on shapes that are odd, single, larger than a piece; and the golden values that it has
 * (values/optimizer*.safetensors, see test/golden/README.md). */
#include "../test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "train/checkpoint.h"

static const struct {
	const char *name;
	enum param_role role;
	int n_dims;
	size_t dim[2];
} shapes[] = {
	{ "wide", PARAM_MATRIX, 2, { 24, 41 } },      { "tall", PARAM_MATRIX, 2, { 70, 69 } },
	{ "large", PARAM_MATRIX, 2, { 310, 257 } },   { "row", PARAM_MATRIX, 2, { 1, 19 } },
	{ "column", PARAM_MATRIX, 2, { 23, 1 } },     { "one", PARAM_MATRIX, 2, { 1, 1 } },
	{ "words", PARAM_EMBEDDING, 2, { 91, 47 } },  { "head", PARAM_HEAD, 2, { 91, 47 } },
	{ "norm", PARAM_VECTOR, 1, { 77 } },          { "scalar", PARAM_VECTOR, 1, { 1 } },
	{ "bias", PARAM_VECTOR, 1, { 200001 } },
};

/* A number in -1 … 1 for a place; cheap, which a sine is not. */
static float wave(size_t place)
{
	uint32_t x = (uint32_t)place * 2654435761u;
	x = (x ^ x >> 15) * 2246822519u;
	return (float)(int32_t)(x ^ x >> 13) / 2147483648.0f;
}

static const struct optim_settings usual = { .learning_rate = 0.01, .weight_decay = 0.1 };

/* A run over all shapes. Weights begin as a function of their place alone. */
struct bench {
	struct test *t;
	struct params params;
	float *g;
	struct opt_parse parse;
	void *options;
	struct optim_settings settings;
	struct optim optim;
	struct pool *pool;
};

static void bench_add(struct bench *b)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		int p = params_add(&b->params, shapes[i].name, shapes[i].n_dims, shapes[i].dim, (int)i);
		b->params.items[p].role = shapes[i].role;
	}
}

/* The row's own options: defaults, and "name=value name=value …". */
static void bench_options(struct bench *b, const struct optimizer *row, const char *assignments)
{
	struct err e = ERR_INIT;

	if (!row->opts)
		return;
	b->options = mem_alloc(row->options_size);
	CHECK_MSG(b->t, opt_begin(&b->parse, row->opts, b->options, &e) == 0, "%s", e.msg);
	b->settings.options = b->options;
	char *words = mem_strdup(assignments), *save = NULL;
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *is = strchr(w, '=');
		*is = 0;
		CHECK_MSG(b->t, opt_assign(&b->parse, w, is + 1, &e) == 0, "%s", e.msg);
	}
	mem_free(words);
}

/* Takes the memory for the parameters that were added. */
static void bench_begin(struct bench *b, const struct optimizer *row, const char *options, const struct kernels *k,
                        int threads)
{
	struct err e = ERR_INIT;

	CHECK_MSG(b->t, params_seal(&b->params, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < b->params.n_items; i++)
		for (size_t j = 0; j < b->params.items[i].n; j++)
			b->params.w[b->params.items[i].offset + j] = wave(i * 37 + j);
	b->g = mem_array(b->params.n, sizeof(*b->g));
	b->pool = pool_new(threads);
	bench_options(b, row, options);
	optim_init(&b->optim, row, &b->settings, &b->params, k, b->pool);
	CHECK_MSG(b->t, optim_start(&b->optim, &e) == 0, "%s", e.msg);
}

static void bench_new(struct bench *b, struct test *t, const struct optimizer *row, const struct kernels *k,
                      int threads)
{
	*b = (struct bench){ .t = t, .settings = usual };
	bench_add(b);
	bench_begin(b, row, "", k, threads);
}

static void bench_end(struct bench *b)
{
	optim_release(&b->optim);
	params_release(&b->params);
	mem_free(b->g);
	if (b->options)
		opt_release(&b->parse);
	mem_free(b->options);
	pool_free(b->pool);
}

/* Steps first … last on gradients that are a function of place and step; nothing may be allocated in them. */
static void bench_steps(struct bench *b, long first, long last)
{
	for (long t = first; t <= last; t++) {
		for (size_t i = 0; i < b->params.n_items; i++)
			for (size_t j = 0; j < b->params.items[i].n; j++)
				b->g[b->params.items[i].offset + j] = wave((i + 1) * 1000003 + j + (size_t)t * 7919);
		mem_guard_arm();
		optim_clip(&b->optim, b->g, 0.5, 100);
		optim_step(&b->optim, b->g, 0.01, t);
		mem_guard_disarm();
	}
}

static bool same(const struct bench *a, const struct bench *b)
{
	bool equal = !memcmp(a->params.w, b->params.w, a->params.n * sizeof(float)) &&
	             optim_slots(&a->optim) == optim_slots(&b->optim);
	return equal && !memcmp(a->optim.memory, b->optim.memory, a->optim.state_bytes);
}

static bool all_finite(const struct bench *b)
{
	for (size_t i = 0; i < b->params.n; i++)
		if (!isfinite(b->params.w[i]))
			return false;
	return true;
}

/* --- what a row says of itself --- */

static void test_row(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench b;
	struct err e = ERR_INIT;
	double seconds = 0;
	size_t sum = 0;

	bench_new(&b, t, row, k, 3);
	test_case(t, "%s: its row", row->name);
	CHECK(t, optimizer_find(row->name) == row && row->summary && row->rate > 0);
	for (size_t i = 0; i < b.params.n_items; i++)
		for (size_t j = b.optim.first[i]; j < b.optim.first[i + 1]; j++) {
			const struct optim_tensor *x = &b.optim.slots[j].tensor;
			CHECK_MSG(t, strcmp(x->name, "w") != 0 && !strchr(x->name, '.'), "a state %s", x->name);
			for (size_t other = b.optim.first[i]; other < j; other++)
				CHECK(t, strcmp(x->name, b.optim.slots[other].tensor.name) != 0);
			CHECK(t, dtypes[x->dtype].safetensors && b.optim.slots[j].offset % 64 == 0);
			sum += b.optim.slots[j].bytes;
		}
	CHECK(t, checkpoint_bytes(&b.params, &b.optim) == sum + params_count(&b.params) * sizeof(float));
	CHECK(t, sum <= b.optim.state_bytes && b.optim.state_bytes <= b.optim.bytes);
	/* at least the gradient and the weights are read, and these written */
	CHECK(t, b.optim.update.bytes >= 12 * (double)params_count(&b.params) && b.optim.update.flops > 0);
	CHECK_MSG(t, optim_seconds(&b.optim, 1e10, &seconds, &e) == 0 && seconds > 0 && isfinite(seconds), "%g s %s",
	          seconds, e.msg);
	bench_end(&b);
}

/* A shape of some megabytes, so that a page more or less does not matter. */
static void test_bytes(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench b = { .t = t, .settings = usual };
	params_add(&b.params, "big", 2, (size_t[]){ 15000, 101 }, -1);
	bench_add(&b);
	bench_begin(&b, row, "", k, 2);
	test_case(t, "%s: it takes the bytes that it says", row->name);
	bench_steps(&b, 1, 1);
	size_t room = ROUND_UP(b.optim.bytes, (size_t)4096), beyond = 0;
	for (size_t i = b.optim.bytes; i < room; i++)
		beyond += b.optim.memory[i] != 0;
	CHECK_MSG(t, beyond == 0, "%zu bytes beyond its memory were written", beyond);
#ifndef KUNGFU_SANITIZE
	size_t before = mem_rss(), bytes = b.optim.bytes, granule = mem_map_granule(bytes),
	       slack = 512 << 10; /* of what else comes and goes, and of the kernel's counting */
	optim_release(&b.optim);
	size_t given = before - MIN(before, mem_rss());
	CHECK_MSG(t, given + slack >= bytes && given <= bytes + granule + slack, "%zu bytes, %zu said", given,
	          bytes);
#endif
	bench_end(&b);
}

/* --- what a step does --- */

/* ½Σ(w − target)², by parameter; its gradient into g. */
static double distance(struct bench *b, size_t i)
{
	const struct param *p = &b->params.items[i];
	double sum = 0;
	for (size_t j = 0; j < p->n; j++) {
		float d = b->params.w[p->offset + j] - wave(j + 12345);
		b->g[p->offset + j] = d;
		sum += 0.5 * (double)d * (double)d;
	}
	return sum;
}

static void test_descent(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench b;
	double before[ARRAY_LEN(shapes)];

	bench_new(&b, t, row, k, 2);
	test_case(t, "%s, %s: a step goes down on a quadratic, whatever shape and role", row->name, k->name);
	b.optim.settings.weight_decay = 0;
	for (long step = 1; step <= 3; step++) {
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
			before[i] = distance(&b, i);
		optim_clip(&b.optim, b.g, 1, 0);
		optim_step(&b.optim, b.g, 1e-4, step);
		for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
			double now = distance(&b, i);
			CHECK_MSG(t, now < before[i], "step %ld, %s: %.9g to %.9g", step, shapes[i].name, before[i],
			          now);
		}
	}
	bench_end(&b);
}

static void test_zero(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench b, c;
	float shrink = (float)(1 - 0.01 * usual.weight_decay);

	bench_new(&b, t, row, k, 2);
	bench_new(&c, t, row, k, 2);
	test_case(t, "%s, %s: without a gradient only the decay of matrices is left", row->name, k->name);
	for (long step = 1; step <= 2; step++) {
		optim_clip(&b.optim, b.g, 1, 1);
		optim_step(&b.optim, b.g, 0.01, step);
	}
	for (size_t i = 0; i < b.params.n_items; i++) {
		const struct param *p = &b.params.items[i];
		for (size_t j = p->offset; j < p->offset + p->n; j++) {
			float want = c.params.w[j], now = b.params.w[j], off = row->averaged ? 1e-3f : 3e-7f;
			if (p->role != PARAM_VECTOR)
				want = want * shrink * shrink;
			CHECK_MSG(t, now == want || (p->role != PARAM_VECTOR && fabsf(now / want - 1) < off),
			          "%s: %.9g, not %.9g", p->name, now, want);
		}
	}
	bench_end(&b);
	bench_end(&c);
}

static void test_threads(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	static const int threads[] = { 2, 3, 7 };
	struct bench one;
	bool padded = false;

	bench_new(&one, t, row, k, 1);
	bench_steps(&one, 1, 2);
	test_case(t, "%s, %s: threads change no bit, padding stays zero", row->name, k->name);
	CHECK(t, all_finite(&one));
	for (size_t i = 0; i < one.params.n_items; i++) {
		const struct param *p = &one.params.items[i];
		size_t end = i + 1 < one.params.n_items ? p[1].offset : one.params.n;
		for (size_t j = p->offset + p->n; j < end; j++) {
			padded = true;
			CHECK(t, one.params.w[j] == 0);
		}
	}
	CHECK(t, padded);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		struct bench other;
		bench_new(&other, t, row, k, threads[i]);
		bench_steps(&other, 1, 2);
		CHECK_MSG(t, same(&one, &other), "%d threads", threads[i]);
		bench_end(&other);
	}
	bench_end(&one);
}

/* --- checkpoints --- */

static void test_resume(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench whole, first, second;
	char *dir = io_join(test_tmp(), "optimizer-state");
	struct err e = ERR_INIT;
	json_t *facts = json_pack("{s:i}", "step", 2);
	struct checkpoint saved = { .params = &first.params, .optim = &first.optim, .facts = facts };
	struct checkpoint back = { .params = &second.params, .optim = &second.optim };

	bench_new(&whole, t, row, k, 2);
	bench_new(&first, t, row, k, 2);
	bench_new(&second, t, row, k, 3);
	test_case(t, "%s: its state is written and read, and the run goes on with the same bits", row->name);
	bench_steps(&whole, 1, 4);
	bench_steps(&first, 1, 2);
	CHECK_MSG(t, checkpoint_write(dir, &saved, &e) == 0, "%s", e.msg);
	bench_steps(&second, 1, 1);
	CHECK_MSG(t, checkpoint_read(dir, &back, &e) == 0, "%s", e.msg);
	CHECK(t, same(&first, &second));
	bench_steps(&second, 3, 4);
	CHECK(t, same(&whole, &second));
	for (size_t i = 0; optimizer_table[i]; i++) {
		if (optimizer_table[i] == row)
			continue;
		struct bench other;
		bench_new(&other, t, optimizer_table[i], k, 1);
		struct checkpoint theirs = { .params = &other.params, .optim = &other.optim };
		e = (struct err)ERR_INIT;
		CHECK(t, checkpoint_read(dir, &theirs, &e) < 0);
		CHECK_MSG(t, strstr(e.msg, row->name) && strstr(e.msg, optimizer_table[i]->name), "%s", e.msg);
		bench_end(&other);
	}
	json_decref(facts);
	json_decref(back.facts);
	bench_end(&whole);
	bench_end(&first);
	bench_end(&second);
	mem_free(dir);
}

/* --- averages --- */

/* What is shown, and that the weights come back. */
static void check_shown(struct bench *b, const float *want)
{
	float *kept = mem_array(b->params.n, sizeof(*kept)), *before = mem_array(b->params.n, sizeof(*before));
	size_t bytes = b->params.n * sizeof(float);

	memcpy(before, b->params.w, bytes);
	optim_show(&b->optim, kept);
	CHECK(b->t, memcmp(before, b->params.w, bytes) != 0 && all_finite(b));
	for (size_t i = 0; want && i < b->params.n; i++)
		CHECK_MSG(b->t, fabsf(b->params.w[i] - want[i]) <= 1e-6f * fabsf(want[i]) + 1e-9f,
		          "number %zu: %.9g, not %.9g", i, b->params.w[i], want[i]);
	optim_hide(&b->optim, kept);
	CHECK(b->t, memcmp(before, b->params.w, bytes) == 0);
	mem_free(kept);
	mem_free(before);
}

static void test_average(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench b = { .t = t, .settings = usual }, plain;
	size_t state;

	bench_new(&plain, t, row, k, 2);
	bench_steps(&plain, 1, 3);
	test_case(t, "%s: the average of its weights", row->name);
	CHECK(t, optim_averages(&plain.optim) == (row->averaged != NULL));
	if (row->averaged) {
		check_shown(&plain, NULL);
		bench_end(&plain);
		return;
	}
	b.settings.ema_decay = 0.75;
	bench_add(&b);
	bench_begin(&b, row, "", k, 3);
	float *want = mem_array(b.params.n, sizeof(*want));
	for (long step = 1; step <= 3; step++) {
		bench_steps(&b, step, step);
		for (size_t i = 0; i < b.params.n; i++)
			want[i] = step == 1 ? b.params.w[i] : 0.75f * want[i] + 0.25f * b.params.w[i];
	}
	CHECK(t, memcmp(b.params.w, plain.params.w, b.params.n * sizeof(float)) == 0);
	check_shown(&b, want);
	state = checkpoint_bytes(&b.params, &b.optim) - checkpoint_bytes(&plain.params, &plain.optim);
	CHECK(t, state == params_count(&b.params) * sizeof(float));
	CHECK(t, b.optim.update.bytes > plain.optim.update.bytes);
	mem_free(want);
	bench_end(&b);
	bench_end(&plain);
}

/* --- groups --- */

static void test_groups(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	struct bench plain, b = { .t = t, .settings = usual };
	double norm;

	bench_new(&plain, t, row, k, 2);
	test_case(t, "%s: groups have a rate and a clip of their own", row->name);
	bench_add(&b);
	int still = params_add_group(&b.params, &(struct param_group){ .rate = 0, .clip = NAN });
	int tight = params_add_group(&b.params, &(struct param_group){ .rate = 1, .clip = 1e-300 });
	b.params.items[0].group = still;
	b.params.items[1].group = tight;
	bench_begin(&b, row, "", k, 2);
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		distance(&plain, i);
		distance(&b, i);
	}
	norm = optim_clip(&plain.optim, plain.g, 2, 0);
	CHECK(t, norm == optim_clip(&b.optim, b.g, 2, 0));
	CHECK(t, b.optim.scale[0] == 2 && b.optim.scale[still] == 2 && b.optim.scale[tight] < 1e-29);
	optim_step(&plain.optim, plain.g, 0.01, 1);
	optim_step(&b.optim, b.g, 0.01, 1);
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		const struct param *p = &b.params.items[i];
		bool equal = !memcmp(b.params.w + p->offset, plain.params.w + p->offset, p->n * sizeof(float));
		if (i >= 1)
			CHECK_MSG(t, equal == (i > 1), "%s", p->name);
		for (size_t j = 0; i == 0 && j < p->n; j++)
			CHECK(t, b.params.w[p->offset + j] == wave(j));
	}
	bench_end(&plain);
	bench_end(&b);
}

/* --- golden values --- */

static double meta_number(const struct safetensors *s, const char *key)
{
	for (size_t i = 0; i < s->n_meta; i++)
		if (!strcmp(s->meta[i].key, key))
			return strtod(s->meta[i].value, NULL);
	return NAN;
}

static const char *meta_text(const struct safetensors *s, const char *key)
{
	for (size_t i = 0; i < s->n_meta; i++)
		if (!strcmp(s->meta[i].key, key))
			return s->meta[i].value;
	return "";
}

static const struct st_tensor *part(const struct safetensors *s, const char *kind, const char *name)
{
	char *full = mem_printf("%s.%s", kind, name);
	const struct st_tensor *x = st_find(s, full);
	mem_free(full);
	return x;
}

/* Parameters are the tensors w.NAME; a name says what it is. */
static void golden_params(struct bench *b, const struct safetensors *s)
{
	for (size_t i = 0; i < s->n_tensors; i++) {
		const struct st_tensor *x = &s->tensors[i];
		if (strncmp(x->name, "w.", 2) != 0)
			continue;
		int p = params_add(&b->params, x->name + 2, x->n_dims, x->dim, -1);
		if (strstr(x->name, "embed"))
			b->params.items[p].role = PARAM_EMBEDDING;
		else if (strstr(x->name, "head"))
			b->params.items[p].role = PARAM_HEAD;
	}
}

static void golden_gradient(struct bench *b, const struct safetensors *s, long step)
{
	for (size_t i = 0; i < b->params.n_items; i++) {
		const struct param *p = &b->params.items[i];
		const float *a = part(s, "a", p->name)->data, *c = part(s, "b", p->name)->data;
		for (size_t j = 0; j < p->n; j++)
			b->g[p->offset + j] = a[j] + (float)step * c[j];
	}
}

/* States after the first step: integers are equal, numbers within 1e-6 of the largest. */
static void golden_states(struct bench *b, const struct safetensors *s)
{
	for (size_t i = 0; i < b->params.n_items; i++)
		for (size_t j = b->optim.first[i]; j < b->optim.first[i + 1]; j++) {
			const struct optim_tensor *x = &b->optim.slots[j].tensor;
			char *kind = mem_printf("first.%s", x->name);
			const struct st_tensor *want = part(s, kind, b->params.items[i].name);
			const float *have = optim_data(&b->optim, j), *numbers = want ? want->data : NULL;
			double off = 0, most = 0;
			mem_free(kind);
			if (!want)
				continue;
			CHECK(b->t, want->bytes == b->optim.slots[j].bytes && want->dtype == x->dtype);
			for (size_t n = 0; x->dtype == DTYPE_F32 && n < want->bytes / sizeof(float); n++) {
				off = fmax(off, fabs((double)have[n] - (double)numbers[n]));
				most = fmax(most, fabs((double)numbers[n]));
			}
			bool fine = x->dtype == DTYPE_F32 ? off <= 1e-6 * most : !memcmp(have, numbers, want->bytes);
			CHECK_MSG(b->t, fine, "%s of %s after the first step", x->name, b->params.items[i].name);
		}
}

/* ‖have − want‖ over all parameters as a part of ‖want − from‖; from NULL: of ‖want‖. last: which are wanted. */
static double golden_off(struct bench *b, const struct safetensors *s, const char *last, const char *from)
{
	double off = 0, of = 0;
	for (size_t i = 0; i < b->params.n_items; i++) {
		const struct param *p = &b->params.items[i];
		const float *want = part(s, last, p->name)->data, *x = from ? part(s, from, p->name)->data : NULL;
		for (size_t j = 0; j < p->n; j++) {
			double d = (double)b->params.w[p->offset + j] - (double)want[j],
			       r = (double)want[j] - (x ? (double)x[j] : 0);
			off += d * d;
			of += r * r;
		}
	}
	return sqrt(off / of);
}

static void golden_run(struct test *t, const struct optimizer *row, const struct kernels *k,
                       const struct safetensors *s)
{
	struct bench b = { .t = t };
	double rate = meta_number(s, "learning_rate"), tolerance = meta_number(s, "tolerance"),
	       warmup = meta_number(s, "warmup");
	bool of_update = !strcmp(meta_text(s, "of"), "update");

	b.settings = (struct optim_settings){ .learning_rate = rate, .weight_decay = meta_number(s, "weight_decay") };
	golden_params(&b, s);
	bench_begin(&b, row, meta_text(s, "options"), k, 2);
	for (size_t i = 0; i < b.params.n_items; i++) {
		const struct param *p = &b.params.items[i];
		memcpy(b.params.w + p->offset, part(s, "w", p->name)->data, p->n * sizeof(float));
	}
	for (long step = 1; step <= (long)meta_number(s, "steps"); step++) {
		golden_gradient(&b, s, step);
		optim_clip(&b.optim, b.g, 1, 0);
		optim_step(&b.optim, b.g, isnan(warmup) ? rate : rate * fmin(1, (double)step / warmup), step);
		if (step == 1)
			golden_states(&b, s);
	}
	double off = golden_off(&b, s, "last", of_update ? "w" : NULL);
	CHECK_MSG(t, off <= tolerance, "off by %g of the %s, %g is allowed", off, of_update ? "update" : "weights",
	          tolerance);
	CHECK(t, optim_averages(&b.optim) == (part(s, "shown", b.params.items[0].name) != NULL));
	if (optim_averages(&b.optim)) {
		optim_show(&b.optim, NULL);
		off = golden_off(&b, s, "shown", NULL);
		CHECK_MSG(t, off <= tolerance, "off by %g of what is shown, %g is allowed", off, tolerance);
	}
	bench_end(&b);
}

static void test_values(struct test *t, const struct optimizer *row, const struct kernels *k)
{
	char *folder = io_join(test_golden(), "values"), **names;
	struct err e = ERR_INIT;
	size_t n = 0;

	CHECK_MSG(t, io_list(folder, &names, &n, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < n; i++) {
		struct safetensors s;
		char *path = io_join(folder, names[i]);
		if (!strncmp(names[i], "optimizer", 9) && st_open(&s, path, &e) == 0) {
			if (!strcmp(meta_text(&s, "optimizer"), row->name)) {
				test_case(t, "%s, %s: as %s", row->name, k->name, meta_text(&s, "reference"));
				golden_run(t, row, k, &s);
			}
			st_close(&s);
		}
		mem_free(path);
	}
	io_list_free(names, n);
	mem_free(folder);
}

static void test_names(struct test *t)
{
	int standard = 0;
	test_case(t, "one row is the standard one, and names are found");
	for (size_t i = 0; optimizer_table[i]; i++) {
		standard += optimizer_table[i]->standard;
		for (const char *const *also = optimizer_table[i]->also; also && *also; also++)
			CHECK_MSG(t, optimizer_find(*also) == optimizer_table[i], "%s", *also);
	}
	CHECK(t, standard == 1 && optimizer_find(NULL)->standard && !optimizer_find("none"));
}

void test_optimizers(struct test *t)
{
	const struct kernels *all[KERNEL_SETS];
	size_t n = kernels_all(all);

	test_names(t);
	for (size_t i = 0; optimizer_table[i]; i++) {
		const struct optimizer *row = optimizer_table[i];
		test_row(t, row, all[n - 1]);
		test_bytes(t, row, all[n - 1]);
		test_resume(t, row, all[n - 1]);
		test_groups(t, row, all[n - 1]);
		test_average(t, row, all[n - 1]);
		for (size_t j = 0; j < n; j++) {
			test_descent(t, row, all[j]);
			test_zero(t, row, all[j]);
			test_threads(t, row, all[j]);
			test_values(t, row, all[j]);
		}
	}
}
