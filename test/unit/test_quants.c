/* test_quants: every block type against the numbers that others make of the same bytes (values/quants.safetensors, see
 * test/golden/README.md), whole and entered at any run of 16; and every type that is written against the blocks of
 * llama.cpp's quantizers, with an importance and without. What cannot be written as a type is named. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "format/quantize_gguf.h"
#include "format/safetensors.h"
#include "quant/quantize.h"
#include "quant/quantize_matrix.h"

static const struct st_tensor *golden(const struct safetensors *s, const char *type, const char *what)
{
	char *name = mem_printf("%s.%s", type, what);
	const struct st_tensor *found = st_find(s, name);

	mem_free(name);
	return found;
}

static void test_read(struct test *t, const struct safetensors *s, const struct dtype_info *d)
{
	const struct st_tensor *blocks = golden(s, d->name, "blocks"), *numbers = golden(s, d->name, "numbers");
	float part[16];

	test_case(t, "%s: dequantized to the bits of gguf-py", d->name);
	CHECK(t, blocks && numbers && blocks->dim[1] == d->bytes && numbers->dim[1] == d->block);
	if (!blocks || !numbers)
		return;
	size_t n = blocks->dim[0] * d->block;
	const float *want = numbers->data;
	float *y = mem_array(n, sizeof(float));
	d->to_float(blocks->data, y, n);
	for (size_t i = 0; i < n; i++)
		CHECK_MSG(t, y[i] == want[i], "number %zu: %.9g, wanted %.9g", i, (double)y[i], (double)want[i]);
	test_case(t, "%s: entered at any run of 16", d->name);
	for (size_t j = 0; j < n; j += 16) {
		d->part(blocks->data, j, part, 16);
		CHECK(t, memcmp(part, y + j, sizeof(part)) == 0);
	}
	mem_free(y);
}

static void test_write(struct test *t, const struct safetensors *s, enum dtype d, struct pool *pool)
{
	const struct st_tensor *x = st_find(s, "x"), *w = st_find(s, "w");
	size_t rows = x->dim[0], cols = x->dim[1], bytes = cols / dtypes[d].block * dtypes[d].bytes;
	uint8_t *out = mem_array(rows, bytes);
	struct err e = ERR_INIT;

	for (int weighted = 0; weighted < 2; weighted++) {
		const struct st_tensor *want = golden(s, dtypes[d].name, weighted ? "weighted" : "plain");
		test_case(t, "%s: written to the bits of llama.cpp%s", dtypes[d].name, weighted ? ", weighted" : "");
		CHECK(t, want && want->bytes == rows * bytes);
		struct quantize_matrix m = { "x", DTYPE_F32, d, x->data, rows, cols, weighted ? w->data : NULL, out };
		CHECK(t, quantize_matrix(pool, &m, &e) == 0);
		for (size_t i = 0; want && i < rows * bytes; i += dtypes[d].bytes)
			CHECK_MSG(t, !memcmp(out + i, (const uint8_t *)want->data + i, dtypes[d].bytes),
			          "row %zu, byte %zu", i / bytes, i % bytes);
	}
	mem_free(out);
}

static void test_refused(struct test *t, struct pool *pool)
{
	static float x[64] = { 1, 2, 3 };
	uint8_t out[256];
	struct quantize_matrix m = { "odd", DTYPE_F32, DTYPE_Q4_0, x, 2, 32, NULL, out };
	struct err e = ERR_INIT;

	test_case(t, "numbers that are not finite, or too large for a type, are named");
	x[40] = NAN;
	CHECK(t, quantize_matrix(pool, &m, &e) < 0 && strstr(e.msg, "'odd' holds a number that is not finite"));
	x[40] = 1e30f;
	m.to = DTYPE_F16;
	CHECK(t, quantize_matrix(pool, &m, &e) < 0 && strstr(e.msg, "too large for F16"));
	m.to = DTYPE_Q8_0;
	CHECK(t, quantize_matrix(pool, &m, &e) < 0 && strstr(e.msg, "too large for Q8_0"));
	m.to = DTYPE_BF16;
	CHECK(t, quantize_matrix(pool, &m, &e) == 0);
	CHECK(t, quantize_writes(DTYPE_IQ4_XS) && !quantize_writes(DTYPE_IQ3_S) && !quantize_writes(DTYPE_I32));
}

/* The files of golden values, one after the other. */
static int open_golden(struct test *t, struct safetensors *s, const char *name)
{
	char *path = mem_printf("%s/values/%s.safetensors", test_golden(), name);
	struct err e = ERR_INIT;

	test_case(t, "%s: the golden values are there", name);
	int status = st_open(s, path, &e);
	if (status < 0)
		test_fail(t, __FILE__, __LINE__, "%s", e.msg);
	mem_free(path);
	return status;
}

/* A type that no shape can have is refused; one matrix that can is enough. */
static void test_shapes(struct test *t)
{
	struct err e = ERR_INIT;
	struct quant_mix_wish wish = { .mixture = quant_mix_find("q4_0", &e), .output = DTYPE_COUNT,
		                       .embedding = DTYPE_COUNT };
	struct quantize_how how = { .wish = &wish };
	struct quant_mix_facts facts = { .architecture = "llama", .layers = 1, .heads = 1, .kv_heads = 1 };

	test_case(t, "a type whose blocks divide no matrix's rows is refused in one sentence");
	for (uint64_t cols = 40; cols <= 64; cols += 24) {
		struct quant_mix_tensor two[] = {
			{ .name = "token_embd.weight", .n_dims = 2, .dim = { 40, 301, 1, 1 }, .dtype = DTYPE_F32 },
			{ .name = "blk.0.ffn_down.weight", .n_dims = 2, .dim = { cols, 40, 1, 1 }, .dtype = DTYPE_F32 },
		};
		struct quantize_list l = { .t = two, .n = 2 };
		bool fits = quantize_list_choose(&l, &facts, &how, "model", &e) == 0;
		CHECK(t, fits == (cols == 64));
		if (!fits)
			CHECK_MSG(t, !strcmp(e.msg, "model: no matrix has rows that blocks of 32 numbers divide: none "
			                            "would be q4_0"), "%s", e.msg);
	}
}

void test_quants(struct test *t);
void test_quants(struct test *t)
{
	struct pool *pool = pool_new(2);
	struct safetensors s;

	if (open_golden(t, &s, "quants") == 0) {
		for (int d = 0; d < DTYPE_COUNT; d++)
			if (dtypes[d].block > 1 && dtypes[d].gguf >= 0)
				test_read(t, &s, &dtypes[d]);
		st_close(&s);
	}
	if (open_golden(t, &s, "quantized") == 0) {
		for (int d = 0; d < DTYPE_COUNT; d++)
			if (dtypes[d].block > 1 && quantize_writes((enum dtype)d))
				test_write(t, &s, (enum dtype)d, pool);
		st_close(&s);
	}
	test_refused(t, pool);
	pool_free(pool);
	test_shapes(t);
}
