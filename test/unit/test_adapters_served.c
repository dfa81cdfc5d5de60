/* test_adapters_served: adapters over a model that is served: they come and go, memory is bounded, what is held
 * stays. */
#include "../test.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "serve/adapters.h"

enum { CONTEXT = 64 };

struct bench {
	struct test *t;
	struct model model;
	struct pool *pool;
	struct device device;
	char *lora, *ia3;
};

static bool is_loaded(struct adapters *a, const char *name)
{
	json_t *list = adapters_list(a), *one;
	bool loaded = false;
	size_t i;

	json_array_foreach(list, i, one)
		if (!strcmp(json_string_value(json_object_get(one, "name")), name))
			loaded = json_is_true(json_object_get(one, "loaded"));
	json_decref(list);
	return loaded;
}

static void note_bytes(void *ctx, size_t bytes) { *(size_t *)ctx = bytes; }

/* A sequence that goes through an adapter, or none: its logits' sum. */
static double sum_of(struct bench *b, struct session *s, int sequence, int adapter)
{
	static const int32_t ids[] = { 5, 9, 2, 7 };
	struct err e = ERR_INIT;
	const float *logits;
	double sum = 0;

	session_drop(s, sequence);
	session_use(s, sequence, adapter);
	CHECK_MSG(b->t, session_feed(s, sequence, ids, 4, &logits, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < session_vocabulary(s); i++)
		sum += logits[i] * (double)(i % 7);
	return sum;
}

static void test_changes(struct bench *b)
{
	size_t bytes = 0, one;
	struct err e = ERR_INIT;
	struct adapters *a;
	struct session *s;
	const char *names[] = { "kept" }, *paths[] = { b->lora };
	struct adapters_options o = { .model = &b->model, .model_name = "base", .names = names, .paths = paths, .n = 1,
		                      .changed = note_bytes, .ctx = &bytes };
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 3 };
	int kept, other, number, second;

	test_case(b->t, "they come and go, and each computes what it computes alone");
	CHECK_MSG(b->t, adapters_new(&a, &o, &e) == 0, "%s", e.msg);
	CHECK_MSG(b->t, session_new(&s, &b->model, adapters_overlay(a), &b->device, &size, &e) == 0, "%s", e.msg);
	struct batcher *batcher = batcher_new(s, b->model.tokenizer, b->pool);
	adapters_serve(a, s, batcher);
	one = bytes;
	CHECK(b->t, one > 0 && is_loaded(a, "kept"));
	kept = adapters_find(a, "kept");
	CHECK(b->t, kept >= 0 && adapters_find(a, "other") == -2);
	CHECK(b->t, adapters_hold(a, kept, &number, &e) == 0);
	double alone = sum_of(b, s, 0, number), plain = sum_of(b, s, 1, -1);
	CHECK_MSG(b->t, adapters_load(a, "other", b->ia3, &e) == 0, "%s", e.msg);
	CHECK(b->t, adapters_load(a, "other", b->ia3, &e) == -1 && strstr(e.msg, "already been loaded"));
	CHECK(b->t, adapters_load(a, "base", b->ia3, &e) == -1 && adapters_load(a, "a/b", b->ia3, &e) == -1);
	other = adapters_find(a, "other");
	CHECK(b->t, adapters_hold(a, other, &second, &e) == 0 && second != number);
	CHECK(b->t, sum_of(b, s, 1, second) != plain && sum_of(b, s, 0, number) == alone);
	CHECK(b->t, sum_of(b, s, 2, -1) == plain);

	test_case(b->t, "one that is held goes when it is left, and nobody finds it meanwhile");
	CHECK(b->t, adapters_unload(a, "other", &e) == 0 && adapters_find(a, "other") == -2);
	double before = sum_of(b, s, 1, second);
	CHECK(b->t, bytes > one && before != plain);
	adapters_leave(a, second);
	CHECK(b->t, bytes == one && session_length(s, 1) == 0 && sum_of(b, s, 0, number) == alone);
	CHECK(b->t, adapters_unload(a, "other", &e) == -1 && strstr(e.msg, "cannot be found"));
	adapters_leave(a, number);
	batcher_free(batcher);
	session_free(s);
	adapters_free(a);
}

static void test_memory(struct bench *b)
{
	struct err e = ERR_INIT;
	struct adapters *a;
	struct session *s;
	size_t bytes = 0;
	struct adapters_options o = { .model = &b->model, .model_name = "base", .changed = note_bytes, .ctx = &bytes };
	struct session_size size = { .n_ctx = CONTEXT };
	int number, second;

	test_case(b->t, "without room the one goes that was used least lately; held ones stay");
	CHECK(b->t, adapters_new(&a, &o, &e) == 0 && !adapters_overlay(a));
	CHECK_MSG(b->t, session_new(&s, &b->model, NULL, &b->device, &size, &e) == 0, "%s", e.msg);
	adapters_serve(a, s, NULL);
	CHECK_MSG(b->t, adapters_load(a, "one", b->lora, &e) == 0, "%s", e.msg);
	adapters_bound(a, bytes + bytes / 2);
	CHECK_MSG(b->t, adapters_load(a, "two", b->lora, &e) == 0, "%s", e.msg);
	CHECK(b->t, is_loaded(a, "two") && !is_loaded(a, "one"));
	CHECK(b->t, adapters_hold(a, adapters_find(a, "two"), &number, &e) == 0);
	CHECK(b->t, adapters_hold(a, adapters_find(a, "one"), &second, &e) == ADAPTERS_BUSY);
	adapters_leave(a, number);
	CHECK(b->t, adapters_hold(a, adapters_find(a, "one"), &second, &e) == 0 && !is_loaded(a, "two"));
	adapters_leave(a, second);
	adapters_bound(a, 10);
	CHECK(b->t, adapters_hold(a, adapters_find(a, "two"), &number, &e) == -1 && strstr(e.msg, "are for adapters"));
	session_free(s);
	adapters_free(a);
}

void test_adapters_served(struct test *t)
{
	struct err e = ERR_INIT;
	struct bench b = { .t = t, .pool = pool_new(1) };
	char *path = io_join(test_golden(), "llama");

	b.device = device_cpu(kernels_get(NULL, &e), b.pool);
	b.lora = io_join(test_golden(), "llama-lora");
	b.ia3 = io_join(test_golden(), "llama-ia3");
	test_case(t, "the tiny Llama opens");
	CHECK_MSG(t, model_open(&b.model, path, &e) == 0 && model_tokenizer(&b.model, &e) == 0, "%s", e.msg);
	test_changes(&b);
	test_memory(&b);
	model_close(&b.model);
	pool_free(b.pool);
	mem_free(b.lora);
	mem_free(b.ia3);
	mem_free(path);
}
