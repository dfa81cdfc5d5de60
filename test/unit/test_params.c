/* test_params: the flat buffer of trainable numbers. */
#include "../test.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/params.h"

static void test_layout(struct test *t)
{
	static const struct { const char *name; int n_dims; size_t dim[4], n, offset;
	} items[] = {
		{ "a", 2, { 3, 5 }, 15, 0 },        { "b", 1, { 1 }, 1, 16 }, { "c", 1, { 16 }, 16, 32 },
		{ "d", 4, { 2, 3, 1, 3 }, 18, 48 }, { "e", 1, { 7 }, 7, 80 },
	};
	struct params p = { 0 };
	struct err e = ERR_INIT;
	test_case(t, "each begins at a multiple of 16, in the order of adding, and all are zero");
	for (size_t i = 0; i < ARRAY_LEN(items); i++)
		CHECK(t, params_add(&p, items[i].name, items[i].n_dims, items[i].dim, (int)i - 1) == (int)i);
	CHECK_MSG(t, params_seal(&p, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(items); i++) {
		const struct param *x = &p.items[i];
		CHECK(t, x->n == items[i].n && x->offset == items[i].offset && x->site == i &&
		                 x->weight == (int)i - 1 &&
		                 x->role == (x->n_dims > 1 ? PARAM_MATRIX : PARAM_VECTOR));
		CHECK(t, params_find(&p, items[i].name) == (int)i);
	}
	CHECK(t, p.n == 96 && params_count(&p) == 57 && params_find(&p, "z") == -1 && (uintptr_t)p.w % 64 == 0);
	for (size_t i = 0; i < p.n; i++)
		CHECK(t, p.w[i] == 0);
	params_release(&p);
	CHECK(t, !p.w && !p.n_items);
}

/* The names are copies, and the table grows. */
static void test_many(struct test *t)
{
	enum { N = 300 };
	struct params p = { 0 };
	char name[20];
	test_case(t, "hundreds");
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		params_add(&p, name, 1, (size_t[]){ (size_t)i + 1 }, -1);
	}
	memset(name, 0, sizeof(name));
	CHECK(t, p.n_items == N && params_find(&p, "p0") == 0 && params_find(&p, "p299") == 299 &&
	                 params_count(&p) == (size_t)N * (N + 1) / 2);
	for (int i = 1; i < N; i++)
		CHECK(t, p.items[i].offset >= p.items[i - 1].offset + p.items[i - 1].n && p.items[i].offset % 16 == 0);
	params_release(&p);
}

static void test_too_many(struct test *t)
{
	struct params p = { 0 };
	struct err e = ERR_INIT;
	test_case(t, "more than memory is a sentence");
	params_add(&p, "all", 2, (size_t[]){ (size_t)1 << 31, (size_t)1 << 30 }, -1);
	CHECK(t, params_seal(&p, &e) == -1 && e.msg[0]);
	params_release(&p);
}

void test_params(struct test *t);
void test_params(struct test *t)
{
	test_layout(t);
	test_many(t);
	test_too_many(t);
}
