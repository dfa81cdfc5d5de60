/* A LoRA that begins by rows (EVA) beside PEFT's (tools/golden/lora_eva.py): the ranks and alphas that are dealt out,
 * each module's A; the same from the kept file, and the same bits on any number of threads. */
#include "../test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "data/forest.h"
#include "format/safetensors.h"
#include "model/model_pass.h"

enum { DOCUMENTS = 12, EACH = 4, MOST = 256 };

/* Four documents after the other, over and over again. */
struct feeder {
	struct model *model;
	struct device device;
	struct model_pass pass;
	struct document docs[DOCUMENTS];
	const struct document *list[DOCUMENTS];
	struct forest_options forest;
	size_t at, batches;
};

static int begin(void *ctx, const struct overlay *watching, bool learnt, struct err *e)
{
	struct feeder *r = ctx;
	struct batch_cap cap = { .rows = MOST, .targets = MOST, .labels = MOST, .segments = 2 * EACH, .docs = EACH,
		                 .keys = MOST };

	r->forest = (struct forest_options){ .max_tokens = MOST, .own_rows = true, .share = true,
		                             .all_targets = !learnt };
	model_pass_begin(&r->pass, &r->device, &cap, r->model, watching, false);
	r->pass.result = graph_hidden(&r->pass.graph);
	return pass_plan(&r->pass.pass, NULL, e) < 0 ? -1 : model_pass_start(&r->pass, NULL, e);
}

static int next(void *ctx, struct err *e)
{
	struct feeder *r = ctx;
	(void)e;

	forest_fill(&r->pass.pass.batch, r->list + r->at, EACH, &r->forest);
	r->at = (r->at + EACH) % DOCUMENTS;
	r->batches++;
	return pass_step(&r->pass.pass);
}

static void take_documents(struct feeder *r, const struct safetensors *s)
{
	const int32_t *ids = st_find(s, "ids")->data, *lengths = st_find(s, "lengths")->data;
	const int32_t *learn = st_find(s, "learn")->data;

	for (int i = 0; i < DOCUMENTS; ids += lengths[i], learn += lengths[i], i++) {
		uint8_t *which = mem_alloc((size_t)lengths[i]);
		struct document d = { .ids = (int32_t *)(uintptr_t)ids, .learn = which, .n = lengths[i],
			              .adapter = -1, .choice = -1 };
		for (int32_t k = 0; k < lengths[i]; k++)
			d.n_learn += which[k] = (uint8_t)learn[k];
		r->docs[i] = d;
		r->list[i] = &r->docs[i];
	}
}

/* A new one fed by the documents; how many batches that took. */
static size_t feed(struct test *t, struct adapter *a, struct model *m, const char *const *options, int threads,
                   struct err *e)
{
	char *path = io_join(test_golden(), "values/documents.safetensors");
	struct feeder r = { .model = m };
	struct pool *pool = pool_new(threads);
	struct safetensors s;
	struct adapter_feed f = { .begin = begin, .next = next, .ctx = &r, .n = 3, .pool = pool, .key = "test" };

	f.kernels = kernels_get(NULL, e);
	r.device = device_cpu(f.kernels, pool);
	CHECK(t, st_open(&s, path, e) == 0);
	take_documents(&r, &s);
	if (adapter_new_named(a, "lora", m, options, 1, e) == 0 && adapter_feed(a, m, &f, e) < 0)
		adapter_release(a);
	model_pass_release(&r.pass);
	for (int i = 0; i < DOCUMENTS; i++)
		mem_free(r.docs[i].learn);
	st_close(&s);
	pool_free(pool);
	mem_free(path);
	return r.batches;
}

/* "lora-r=4 …" as names and texts; in mem. */
static const char *const *options_of(struct arena *mem, const char *text)
{
	const char **list = arena_array(mem, 32, sizeof(*list));
	size_t n = 0;

	list[n++] = "init-lora-weights";
	list[n++] = "eva";
	for (char *word = arena_printf(mem, "%s", text); word; n += 2) {
		char *end = strchr(word, ' '), *is = strchr(word, '=');
		*is = '\0';
		if (end)
			*end = '\0';
		list[n] = word;
		list[n + 1] = is + 1;
		word = end ? end + 1 : NULL;
	}
	return list;
}

static void check_module(struct test *t, const struct adapter *a, const struct st_tensor *want)
{
	char *name = mem_printf("base_model.model.%s.lora_A.weight", want->name);
	int i = params_find(&a->overlay.params, name);
	const struct param *p = i < 0 ? NULL : &a->overlay.params.items[i];
	const float *A = p ? a->overlay.params.w + p->offset : NULL, *x = want->data;

	CHECK_MSG(t, p && p->dim[0] == want->dim[0] && p->dim[1] == want->dim[1], "%s: rank %zu, wanted %zu", name,
	          p ? p->dim[0] : 0, want->dim[0]);
	for (size_t k = 0; p && k < want->dim[0]; k++) {
		double off = 0, most = 0;
		for (size_t j = k * want->dim[1]; j < (k + 1) * want->dim[1]; j++) {
			off = fmax(off, fabs((double)(A[j] - x[j])));
			most = fmax(most, fabs((double)x[j]));
		}
		CHECK_MSG(t, off <= 1e-4 * most, "%s: direction %zu is off by %g of %g", name, k, off, most);
	}
	mem_free(name);
}

static const char *meta_of(const struct safetensors *s, const char *key)
{
	for (size_t i = 0; i < s->n_meta; i++)
		if (!strcmp(s->meta[i].key, key))
			return s->meta[i].value;
	return "";
}

static void check_pattern(struct test *t, const json_t *config, const json_t *want, const char *key)
{
	const json_t *got = json_object_get(config, key);
	const char *module;
	json_t *value;

	want = json_object_get(want, key);
	CHECK_MSG(t, json_object_size(got) == json_object_size(want), "%zu entries of %s, wanted %zu",
	          json_object_size(got), key, json_object_size(want));
	json_object_foreach((json_t *)(uintptr_t)want, module, value) {
		double x = json_number_value(json_object_get(got, module)), y = json_number_value(value);
		CHECK_MSG(t, fabs(x - y) < 1e-12, "%s of %s: %g, wanted %g", key, module, x, y);
	}
}

static void check_case(struct test *t, const char *name)
{
	char *values = mem_printf("%s/values/%s.safetensors", test_golden(), name);
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct safetensors s;
	struct adapter a, again;
	struct model m;

	test_case(t, name);
	CHECK_MSG(t, st_open(&s, values, &e) == 0, "%s", e.msg);
	const char *const *options = options_of(&mem, meta_of(&s, "options"));
	char *path = io_join(test_golden(), meta_of(&s, "model"));
	json_t *patterns = json_loads(meta_of(&s, "patterns"), 0, NULL);
	CHECK_MSG(t, model_open(&m, path, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, feed(t, &a, &m, options, 1, &e) > 3, "%s", e.msg);
	for (size_t i = 0; i < s.n_tensors; i++)
		check_module(t, &a, &s.tensors[i]);
	CHECK_MSG(t, a.overlay.params.n_items == 2 * s.n_tensors, "%zu parameters", a.overlay.params.n_items);
	check_pattern(t, a.config, patterns, "rank_pattern");
	check_pattern(t, a.config, patterns, "alpha_pattern");
	CHECK_MSG(t, feed(t, &again, &m, options, 3, &e) == 0 && again.overlay.params.n == a.overlay.params.n &&
	                     !memcmp(again.overlay.params.w, a.overlay.params.w, a.overlay.params.n * sizeof(float)),
	          "it is looked at again, or kept otherwise: %s", e.msg);
	adapter_release(&again);
	adapter_release(&a);
	json_decref(patterns);
	model_close(&m);
	st_close(&s);
	mem_free(path);
	mem_free(values);
	arena_release(&mem);
}

static void test_threads(struct test *t)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	struct adapter a[2];
	struct model m;
	char *path = io_join(test_golden(), "llama");

	test_case(t, "the same bits on any number of threads");
	CHECK(t, model_open(&m, path, &e) == 0);
	for (int i = 0; i < 2; i++) { /* where nothing is kept yet */
		char *state = mem_printf("%s/state%d", test_tmp(), i);
		setenv("XDG_STATE_HOME", state, 1);
		mem_free(state);
		CHECK(t, feed(t, &a[i], &m, options_of(&mem, "lora-r=2"), 1 + 2 * i, &e) > 0);
	}
	CHECK(t, a[0].overlay.params.n == a[1].overlay.params.n &&
	                 !memcmp(a[0].overlay.params.w, a[1].overlay.params.w, a[0].overlay.params.n * sizeof(float)));
	adapter_release(&a[0]);
	adapter_release(&a[1]);
	model_close(&m);
	mem_free(path);
	arena_release(&mem);
}

void test_eva(struct test *t);
void test_eva(struct test *t)
{
	char *before = mem_strdup(getenv("XDG_STATE_HOME"));

	check_case(t, "llama-eva");
	check_case(t, "llama-eva-more");
	check_case(t, "gpt2-eva");
	test_threads(t);
	setenv("XDG_STATE_HOME", before, 1);
	mem_free(before);
}
