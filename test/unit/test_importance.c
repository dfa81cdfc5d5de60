/* test_importance: sums of squares of what matrices are multiplied with, against transformers' (values/
 * importance.safetensors); the same bits on any number of threads; experts share their rows out. Moments have those
 * sums on their diagonals. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "eval/importance.h"
#include "eval/moments.h"
#include "format/safetensors.h"
#include "model/weights.h"

struct setup {
	struct model model;
	struct safetensors documents;
	struct device device;
	struct pool *pool;
};

static bool set_up(struct test *t, struct setup *s, const char *name, int threads)
{
	char *model = mem_printf("%s/%s", test_golden(), name),
	     *values = mem_printf("%s/values/documents.safetensors", test_golden());
	struct err e = ERR_INIT;
	const struct kernels *k = kernels_get(NULL, &e);

	s->pool = pool_new(threads);
	s->device = device_cpu(k, s->pool);
	bool open = model_open(&s->model, model, &e) == 0 && st_open(&s->documents, values, &e) == 0;
	CHECK_MSG(t, open, "%s", e.msg);
	mem_free(model);
	mem_free(values);
	return open;
}

static void tear_down(struct setup *s)
{
	st_close(&s->documents);
	model_close(&s->model);
	pool_free(s->pool);
}

/* The first n documents. */
static void run(struct test *t, struct setup *s, struct importance *sums, int32_t n)
{
	const int32_t *ids = st_find(&s->documents, "ids")->data, *lengths = st_find(&s->documents, "lengths")->data;
	uint8_t learn[128] = { 0 };
	struct err e = ERR_INIT;

	CHECK_MSG(t, importance_begin(sums, &s->model, &s->device, 128, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, importance_start(sums, &e) == 0, "%s", e.msg);
	for (int32_t i = 0; i < n; ids += lengths[i++]) {
		struct document d = { .ids = (int32_t *)(uintptr_t)ids, .learn = learn, .n = lengths[i], .choice = -1 };
		CHECK_MSG(t, importance_add(sums, &d, &e) == 0, "%s", e.msg);
	}
}

static void test_golden_sums(struct test *t)
{
	char *path = mem_printf("%s/values/importance.safetensors", test_golden());
	struct safetensors want;
	struct importance sums;
	struct setup s;
	struct err e = ERR_INIT;
	size_t n;

	test_case(t, "the sums of transformers");
	CHECK_MSG(t, st_open(&want, path, &e) == 0, "%s", e.msg);
	if (set_up(t, &s, "llama", 2)) {
		run(t, &s, &sums, *(const int32_t *)st_find(&want, "documents")->data);
		const struct imatrix_sums *x = importance_sums(&sums, &n);
		CHECK_MSG(t, n + 1 == want.n_tensors, "%zu of %zu", n, want.n_tensors - 1);
		for (size_t i = 0; i < n; i++) {
			const struct st_tensor *w = st_find(&want, x[i].name);
			CHECK_MSG(t, w && w->dim[0] == x[i].cols && x[i].parts == 1, "%s", x[i].name);
			for (size_t k = 0; w && k < x[i].cols; k++) {
				double y = (double)((const float *)w->data)[k];
				CHECK_MSG(t, fabs(x[i].sum[k] - y) <= 1e-5 * y, "%s %zu: %g, wanted %g", x[i].name, k,
				          x[i].sum[k], y);
			}
			CHECK(t, x[i].count[0] == 27 + 42 + 46 + 33 + 2 + 64);
		}
		importance_end(&sums);
		tear_down(&s);
	}
	st_close(&want);
	mem_free(path);
}

static void test_threads(struct test *t)
{
	static const int threads[] = { 1, 3 };
	double first[2] = { 0 };
	struct importance sums;
	struct setup s;
	size_t n;

	test_case(t, "the same bits on any number of threads");
	for (int i = 0; i < 2; i++) {
		if (!set_up(t, &s, "llama", threads[i]))
			return;
		run(t, &s, &sums, 3);
		const struct imatrix_sums *x = importance_sums(&sums, &n);
		for (size_t k = 0; k < n; k++)
			for (size_t c = 0; c < x[k].cols; c++)
				first[i] += x[k].sum[c] * (double)(k + c + 1);
		importance_end(&sums);
		tear_down(&s);
	}
	CHECK(t, first[0] == first[1] && first[0] > 0);
}

/* Each row goes to k experts, so theirs sum to k times what its router sees; a layer of them after the other. */
static void test_experts(struct test *t)
{
	struct importance sums;
	struct setup s;
	int of, k;
	size_t n, stacks = 0;

	test_case(t, "experts: k times their router's");
	if (!set_up(t, &s, "mixtral", 2))
		return;
	k = model_experts(&s.model, &of);
	run(t, &s, &sums, 6);
	const struct imatrix_sums *x = importance_sums(&sums, &n), *router = NULL;
	for (size_t i = 0; i < n; i++)
		router = strstr(x[i].name, "ffn_gate_inp") ? &x[i] : router;
	CHECK(t, router != NULL);
	for (size_t i = 0; i < n; i++) {
		double count = 0, sum = 0, want = 0;
		if (x[i].parts == 1)
			continue;
		stacks++;
		for (size_t e = 0; e < x[i].parts; e++)
			count += x[i].count[e];
		CHECK_MSG(t, x[i].parts == (size_t)of && count == 214.0 * k, "%s: %g", x[i].name, count);
		if (!router || strncmp(x[i].name, router->name, 6) || !strstr(x[i].name, "ffn_gate_exps"))
			continue;
		for (size_t c = 0; c < x[i].cols; c++) {
			want += k * router->sum[c];
			for (size_t e = 0; e < x[i].parts; e++)
				sum += x[i].sum[e * x[i].cols + c];
		}
		CHECK_MSG(t, fabs(sum - want) < 1e-6 * want, "%s: %g, wanted %g", x[i].name, sum, want);
	}
	CHECK_MSG(t, stacks == 3 * (size_t)s.model.config.n_layers, "%zu", stacks);
	importance_end(&sums);
	tear_down(&s);
}

static void add_documents(struct test *t, struct setup *s, struct moments *m, int first, size_t limit)
{
	const int32_t *ids = st_find(&s->documents, "ids")->data, *lengths = st_find(&s->documents, "lengths")->data;
	struct err e = ERR_INIT;

	CHECK_MSG(t, moments_begin(m, &s->model, &s->device, 128, first, limit, &e) == 0, "%s", e.msg);
	for (int32_t i = 0; i < 6; ids += lengths[i++]) {
		struct document d = { .ids = (int32_t *)(uintptr_t)ids, .n = lengths[i], .choice = -1 };
		CHECK_MSG(t, moments_add(m, &d, &e) == 0, "%s", e.msg);
	}
}

static const struct imatrix_sums *sums_of(const struct setup *s, const struct imatrix_sums *x, size_t n, size_t w)
{
	struct arena names = ARENA_INIT;
	const char *name = weight_gguf_name(&names, &s->model.weights[w]);
	const struct imatrix_sums *found = NULL;

	for (size_t i = 0; name && i < n; i++)
		found = strcmp(x[i].name, name) ? found : &x[i];
	arena_release(&names);
	return found;
}

static void check_diagonal(struct test *t, const struct moments *m, size_t w, const struct imatrix_sums *x)
{
	const struct moment *h = m->of[w] < 0 ? NULL : &m->items[m->of[w]];

	CHECK_MSG(t, h && h->cols == x->cols && h->parts == x->parts, "%s", x->name);
	for (size_t i = 0; h && i < x->parts; i++)
		CHECK_MSG(t, (double)h->seen[i] == (double)x->count[i], "%s: %zu rows", x->name, h->seen[i]);
	for (size_t i = 0; h && i < x->parts * x->cols; i++) {
		double got = (double)h->sum[i * h->cols + i % h->cols], want = x->sum[i];
		CHECK_MSG(t, fabs(got - want) <= 2e-5 * want + 1e-9, "%s %zu: %g, wanted %g", x->name, i, got, want);
	}
}

/* Layer by layer, or in one go: the groups together have what importance has. */
static void test_moments(struct test *t, const char *name, size_t limit, int groups)
{
	struct importance sums;
	struct moments m;
	struct setup s;
	int passes = 0;
	size_t n, seen = 0;

	test_case(t, "moments of %s, %zu bytes at a time: importance's sums on the diagonal", name, limit);
	if (!set_up(t, &s, name, 2))
		return;
	run(t, &s, &sums, 6);
	const struct imatrix_sums *x = importance_sums(&sums, &n);
	for (int first = 0; first < s.model.config.n_layers; passes++) {
		add_documents(t, &s, &m, first, limit);
		for (size_t w = 0; w < s.model.n_weights; w++) {
			const struct imatrix_sums *of = m.of[w] < 0 ? NULL : sums_of(&s, x, n, w);
			CHECK_MSG(t, m.of[w] < 0 || of, "%s", s.model.weights[w].name);
			if (of)
				check_diagonal(t, &m, w, of);
			seen += of != NULL;
		}
		first = m.end;
		moments_end(&m);
	}
	CHECK_MSG(t, seen == n && passes == groups, "%zu matrices of %zu, %d passes", seen, n, passes);
	importance_end(&sums);
	tear_down(&s);
}

static void test_moments_threads(struct test *t)
{
	static const int threads[] = { 1, 3 };
	double first[2] = { 0 };
	struct moments m;
	struct setup s;
	struct err e = ERR_INIT;

	test_case(t, "moments and their factors have the same bits on any number of threads");
	for (int i = 0; i < 2; i++) {
		if (!set_up(t, &s, "llama", threads[i]))
			return;
		add_documents(t, &s, &m, 0, SIZE_MAX);
		for (size_t w = 0; w < s.model.n_weights; w++) {
			const float *h = moments_factors(&m, s.pool, (int)w, 0, &e);
			size_t cols = h ? m.items[m.of[w]].cols : 0;
			for (size_t k = 0; k < cols * cols; k++)
				first[i] += (double)h[k] * (double)(k % 97 + w + 1);
		}
		moments_end(&m);
		tear_down(&s);
	}
	CHECK(t, first[0] == first[1] && first[0] != 0);
}

void test_importance(struct test *t);
void test_importance(struct test *t)
{
	test_golden_sums(t);
	test_threads(t);
	test_experts(t);
	test_moments(t, "llama", SIZE_MAX, 1);
	test_moments(t, "llama", 1, 3);
	test_moments(t, "mixtral", SIZE_MAX, 1);
	test_moments_threads(t);
}
