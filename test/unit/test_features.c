/* test_features: states of documents, layer by layer, as transformers has them (values/features_*); packed with others
 * or alone, on any threads the same. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "infer/features.h"

enum { DOCS = 6, MOST_LAYERS = 16 };

struct bench {
	struct test *t;
	struct model model;
	struct safetensors values, documents;
	struct document doc[DOCS];
	const struct document *docs[DOCS];
	struct arena mem;
	int32_t longest;
};

static void make_documents(struct bench *b)
{
	const int32_t *ids = st_find(&b->documents, "ids")->data, *lengths = st_find(&b->documents, "lengths")->data;
	bool encoder = b->model.config.arch->encoder;

	for (int i = 0; i < DOCS; ids += lengths[i++]) {
		struct document *d = &b->doc[i];
		*d = (struct document){ .n = lengths[i], .file = "golden", .line = (size_t)i + 1, .choice = -1 };
		d->ids = arena_array(&b->mem, (size_t)d->n, sizeof(*d->ids));
		d->learn = arena_array(&b->mem, (size_t)d->n, 1);
		memcpy(d->ids, ids, (size_t)d->n * sizeof(*ids));
		d->learn[encoder ? 0 : d->n - 1] = 1;
		d->n_learn = 1;
		b->docs[i] = d;
		b->longest = MAX(b->longest, d->n);
	}
}

static float *states(struct bench *b, const struct features_options *o, int threads)
{
	struct err e = ERR_INIT;
	struct pool *pool = pool_new(threads);
	struct device cpu = device_cpu(kernels_get(NULL, &e), pool);
	struct features *x = NULL;
	float *out = arena_array(&b->mem, DOCS * o->n_layers * (size_t)b->model.config.C, sizeof(*out));
	bool fine = features_new(&x, &b->model, NULL, &cpu, o, &e) == 0 &&
	            features_run(x, b->docs, DOCS, out, NULL, NULL, &e) == 0;

	CHECK_MSG(b->t, fine, "%s", e.msg);
	features_free(x);
	pool_free(pool);
	return out;
}

static double off(const float *a, const float *b, size_t n)
{
	double most = 0, scale = 0;

	for (size_t i = 0; i < n; i++) {
		most = fmax(most, fabs((double)a[i] - (double)b[i]));
		scale = fmax(scale, fabs((double)b[i]));
	}
	return most / scale;
}

static void check_pooling(struct bench *b, enum feature_pooling pooling, const char *name)
{
	const struct st_tensor *want = st_find(&b->values, name);
	int layers[MOST_LAYERS], n = features_layers(&b->model);
	struct features_options o = { .max_tokens = 4096, .max_length = b->longest, .pooling = pooling,
		                      .layers = layers, .n_layers = (size_t)n };
	size_t width = (size_t)b->model.config.C, total = DOCS * (size_t)n * width;

	for (int i = 0; i < n; i++)
		layers[i] = i;
	CHECK(b->t, want && want->bytes == total * sizeof(float));
	float *all = states(b, &o, 2), *one = states(b, &o, 1);
	CHECK_MSG(b->t, off(all, want->data, total) < 2e-5, "%s is off by %g", name, off(all, want->data, total));
	CHECK(b->t, !memcmp(all, one, total * sizeof(*all)));
	layers[0] = n - 1;
	o.n_layers = 1;
	float *last = states(b, &o, 2);
	for (size_t i = 0; i < DOCS; i++)
		CHECK(b->t, !memcmp(last + i * width, all + ((i + 1) * (size_t)n - 1) * width, width * sizeof(*last)));
	o.max_tokens = 1;
	CHECK(b->t, off(states(b, &o, 2), last, DOCS * width) < 2e-6);
}

static void check_model(struct test *t, const char *name)
{
	struct bench b = { .t = t };
	struct err e = ERR_INIT;
	char *file = mem_printf("%s/values/features_%s.safetensors", test_golden(), name),
	     *documents = io_join(test_golden(), "values/documents.safetensors"), *model = io_join(test_golden(), name);

	test_case(t, "%s", name);
	bool fine = st_open(&b.values, file, &e) == 0 && st_open(&b.documents, documents, &e) == 0 &&
	            model_open(&b.model, model, &e) == 0;
	CHECK_MSG(t, fine, "%s", e.msg);
	if (fine) {
		make_documents(&b);
		check_pooling(&b, FEATURES_LAST, "last");
		check_pooling(&b, FEATURES_MEAN, "mean");
	}
	model_close(&b.model);
	st_close(&b.values);
	st_close(&b.documents);
	arena_release(&b.mem);
	mem_free(file);
	mem_free(documents);
	mem_free(model);
}

static void check_layer(struct test *t)
{
	struct bench b = { .t = t };
	struct err e = ERR_INIT;
	char *model = io_join(test_golden(), "llama");
	struct features *x = NULL;

	test_case(t, "a layer that there is not");
	CHECK(t, model_open(&b.model, model, &e) == 0);
	struct pool *pool = pool_new(1);
	struct device cpu = device_cpu(kernels_get(NULL, &e), pool);
	const struct features_options o = { 64, 32, FEATURES_LAST, (const int[]){ 99 }, 1 };
	CHECK(t, features_new(&x, &b.model, NULL, &cpu, &o, &e) < 0 && strstr(e.msg, "layer 99 was wanted"));
	pool_free(pool);
	model_close(&b.model);
	mem_free(model);
}

void test_features(struct test *t)
{
	check_model(t, "llama");
	check_model(t, "gpt2");
	check_model(t, "gemma2");
	check_model(t, "bert");
	check_layer(t);
}
