/* test_combine: adapters added up as PEFT does, models as mergekit does (values made with their code and formulas,
 * tools/golden/combinations.py), and what must hold whatever the numbers. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/combine.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "format/safetensors.h"

static const double weights[] = { 0.7, -0.4 };
#define DENSITY 0.4

struct joined {
	struct model model;
	struct adapter parts[2], sum;
	struct combined result;
	struct change changes[2];
	char *name[2];
};

static bool open_joined(struct test *t, struct joined *j, const char *model)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), model);
	bool fine = model_open(&j->model, path, &e) == 0;

	for (int i = 0; i < 2 && fine; i++) {
		j->name[i] = mem_printf("%s/combined/%s/%c", test_golden(), model, 'a' + i);
		fine = adapter_load(&j->parts[i], j->name[i], &j->model, &e) == 0;
		j->changes[i] = (struct change){ &j->parts[i], NULL, j->name[i], weights[i] };
	}
	CHECK_MSG(t, fine, "%s", e.msg);
	mem_free(path);
	return fine;
}

static void close_joined(struct joined *j)
{
	for (int i = 0; i < 2; i++) {
		adapter_release(&j->parts[i]);
		mem_free(j->name[i]);
	}
	model_close(&j->model);
}

/* What a plan is told of, once, and how far it is. */
struct watching { int planned, told; size_t numbers; bool refuses; };

static int keep_plan(void *ctx, const struct combine_forecast *f, struct err *e)
{
	struct watching *w = ctx;

	w->planned++;
	w->numbers = f->numbers;
	return w->refuses ? err_set(e, "too dear") : 0;
}

static void keep_progress(void *ctx, const struct combine_progress *p)
{
	struct watching *w = ctx;

	w->told += p->done <= p->n;
}

static void check_watched(struct test *t, struct joined *j)
{
	struct watching w = { 0 };
	struct combine c = { .model = &j->model, .changes = j->changes, .n = 2, .progress = keep_progress,
		             .how = { .how = combination_find("svd"), .density = 1 }, .planned = keep_plan,
		             .ctx = &w };
	struct err e = ERR_INIT;

	test_case(t, "who plans is told once, and may refuse");
	CHECK_MSG(t, combine_adapters(&j->sum, &j->result, &c, &e) == 0, "%s", e.msg);
	CHECK(t, w.planned == 1 && w.numbers == j->sum.overlay.params.n && w.told > (int)j->result.modules);
	adapter_release(&j->sum);
	w.refuses = true;
	CHECK(t, combine_adapters(&j->sum, &j->result, &c, &e) < 0 && strstr(e.msg, "too dear"));
}

static int add_up(struct joined *j, const char *how, size_t n, size_t rank, double density, struct err *e)
{
	struct combine c = { .model = &j->model, .changes = j->changes, .n = n, .svd_rank = rank,
		             .how = { .how = combination_find(how), .density = density } };

	return combine_adapters(&j->sum, &j->result, &c, e);
}

/* What an adapter adds to weight i, [out][in]. */
static float *added(const struct adapter *a, const struct model *m, int i)
{
	const struct weight *w = &m->weights[i];
	size_t n = w->dim[0] * w->dim[1];
	float *with = mem_array(n, sizeof(*with)), *own = mem_array(n, sizeof(*own));

	adapter_merged(a, m, i, with);
	model_weight_float(m, i, own);
	for (size_t k = 0; k < n; k++)
		with[k] -= own[k];
	mem_free(own);
	return with;
}

static double worst_of(const float *a, const float *b, size_t n)
{
	double worst = 0, size = 1e-30;

	for (size_t i = 0; i < n; i++) {
		worst = fmax(worst, fabs((double)a[i] - b[i]));
		size = fmax(size, fabs((double)b[i]));
	}
	return worst / size;
}

/* Products are f32 sums here and there, and come out of weights of size 1: 2e-6 of the largest. */
static void check_type(struct test *t, struct joined *j, const char *model, const char *how,
                       const struct safetensors *s)
{
	struct err e = ERR_INIT;
	int compared = 0;

	test_case(t, "%s: %s is PEFT's", model, how);
	if (add_up(j, how, 2, 0, DENSITY, &e) < 0) {
		CHECK_MSG(t, false, "%s", e.msg);
		return;
	}
	for (size_t i = 0; i < j->model.n_weights; i++) {
		const struct weight *w = &j->model.weights[i];
		char *module = mem_strndup(w->name, strlen(w->name) - strlen(".weight"));
		char *name = mem_printf("%s.%s.%s", model, how, module);
		const struct st_tensor *want = st_find(s, name);
		if (want && w->n_dims == 2) {
			float *got = added(&j->sum, &j->model, (int)i);
			double worst = worst_of(got, want->data, (size_t)(want->dim[0] * want->dim[1]));
			CHECK_MSG(t, worst < 5e-6, "%s: %g", name, worst);
			mem_free(got);
			compared++;
		}
		mem_free(module);
		mem_free(name);
	}
	CHECK_MSG(t, compared >= 3, "%d compared", compared);
	adapter_release(&j->sum);
}

static void check_golden(struct test *t, const char *model)
{
	static const char *const types[] = { "linear",   "cat",             "svd",                "ties",
		                             "ties_svd", "magnitude_prune", "magnitude_prune_svd" };
	char *path = mem_printf("%s/values/combined.safetensors", test_golden());
	struct safetensors s = { 0 };
	struct joined j = { 0 };
	struct err e = ERR_INIT;

	test_case(t, "%s: open", model);
	CHECK_MSG(t, st_open(&s, path, &e) == 0, "%s", e.msg);
	if (open_joined(t, &j, model))
		for (size_t i = 0; i < ARRAY_LEN(types); i++)
			check_type(t, &j, model, types[i], &s);
	close_joined(&j);
	st_close(&s);
	mem_free(path);
}

static void check_models(struct test *t)
{
	static const char *const types[] = { "linear", "task_arithmetic", "ties" };
	static const double w[] = { 0.7, 0.3 };
	char *path = mem_printf("%s/values/combined.safetensors", test_golden());
	struct safetensors s = { 0 };
	struct err e = ERR_INIT;
	float x[2][35], out[35];
	uint32_t order[35];

	test_case(t, "whole models, by mergekit's formulas");
	if (st_open(&s, path, &e) < 0) {
		CHECK_MSG(t, false, "%s", e.msg);
		mem_free(path);
		return;
	}
	const float *base = st_find(&s, "models.base")->data, *a = st_find(&s, "models.x")->data,
		    *b = st_find(&s, "models.y")->data;
	for (size_t k = 0; k < ARRAY_LEN(types); k++) {
		char name[40];
		struct combining c = { .how = combination_find(types[k]), .rules = RULES_MERGEKIT, .density = DENSITY,
			               .normalize = k != 1 };
		for (int i = 0; i < 35; i++) {
			x[0][i] = a[i] - (k ? base[i] : 0);
			x[1][i] = b[i] - (k ? base[i] : 0);
		}
		combination_prune(&c, x[0], 35, 0, order);
		combination_prune(&c, x[1], 35, 1, order);
		combination_sum(&c, (const float *const[]){ x[0], x[1] }, w, 2, 35, out);
		for (int i = 0; i < 35 && k; i++)
			out[i] += base[i];
		snprintf(name, sizeof(name), "models.%s", types[k]);
		CHECK_MSG(t, worst_of(out, st_find(&s, name)->data, 35) < 1e-6, "%s", name);
	}
	combination_slerp(a, b, 0.3, 35, out);
	CHECK(t, worst_of(out, st_find(&s, "models.slerp")->data, 35) < 1e-6);
	st_close(&s);
	mem_free(path);
}

/* As many are kept as the density says, the largest, or of random ones about as many, the sum staying about what it
 * was. */
static void check_prune(struct test *t)
{
	enum { N = 4000 };
	float x[N], y[N];
	uint32_t order[N];
	double sum = 0;
	size_t kept = 0;
	struct combining c = { .how = combination_find("ties"), .density = 0.25 };

	test_case(t, "pruning keeps what it says");
	for (size_t i = 0; i < N; i++)
		x[i] = y[i] = rng_normal((struct rng_key){ 1, RNG_TEST }, i, 0, 0) + (float)(i % 3);
	float least = INFINITY, most = 0;
	combination_prune(&c, x, N, 0, order);
	for (size_t i = 0; i < N; i++) {
		kept += x[i] != 0;
		least = x[i] != 0 ? fminf(least, fabsf(x[i])) : least;
		most = x[i] == 0 ? fmaxf(most, fabsf(y[i])) : most;
	}
	CHECK(t, kept == N / 4 && least >= most);
	c.how = combination_find("dare_ties");
	memcpy(x, y, sizeof(x));
	combination_prune(&c, x, N, 0, NULL);
	kept = 0;
	for (size_t i = 0; i < N; i++) {
		kept += x[i] != 0;
		sum += x[i] - y[i];
		CHECK(t, x[i] == 0 || x[i] == y[i] / 0.25f);
	}
	CHECK(t, kept > 900 && kept < 1100 && fabs(sum) < 500);
}

static void check_own(struct test *t)
{
	struct joined j = { 0 };
	struct err e = ERR_INIT;

	if (!open_joined(t, &j, "llama"))
		return;
	test_case(t, "an adapter as a LoRA of its own rank is itself, of a smaller one it is off by what is told");
	for (size_t rank = 4; rank >= 2; rank -= 2) {
		double whole = 0, off = 0;
		j.changes[0].weight = 1;
		CHECK_MSG(t, add_up(&j, "svd", 1, rank, 1, &e) == 0 && j.result.rank == rank, "%s", e.msg);
		for (size_t i = 0; i < j.model.n_weights; i++) {
			const struct weight *w = &j.model.weights[i];
			if (w->n_dims != 2)
				continue;
			float *was = added(&j.parts[0], &j.model, (int)i), *is = added(&j.sum, &j.model, (int)i);
			for (size_t k = 0; k < w->dim[0] * w->dim[1]; k++) {
				whole += (double)was[k] * was[k];
				off += ((double)was[k] - is[k]) * ((double)was[k] - is[k]);
			}
			mem_free(was);
			mem_free(is);
		}
		CHECK_MSG(t, fabs(sqrt(off / whole) - j.result.error) < 1e-4, "%g, told %g", sqrt(off / whole),
		          j.result.error);
		CHECK(t, (rank == 4) == (j.result.error < 1e-4));
		adapter_release(&j.sum);
	}
	check_watched(t, &j);
	test_case(t, "what cannot be added is a sentence");
	CHECK(t, add_up(&j, "cat", 2, 0, 1, &e) == 0 && j.result.rank == 8);
	struct adapter eight = j.sum;
	j.changes[1].adapter = &eight;
	e = (struct err)ERR_INIT;
	CHECK(t, add_up(&j, "linear", 2, 0, 1, &e) < 0 && strstr(e.msg, "rank 4"));
	adapter_release(&eight);
	close_joined(&j);
}

void test_combine(struct test *t)
{
	check_golden(t, "llama");
	check_golden(t, "gpt2");
	check_models(t);
	check_prune(t);
	check_own(t);
}
