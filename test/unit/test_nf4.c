/* 4-bit floats (quant/nf4.h) beside bitsandbytes' own: codes, scales, scales of scales and offset of what it quantized,
 * bit for bit, from the same numbers (tools/golden/nf4.py); rows that are stored read as it computes with them. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "quant/nf4.h"

enum { ROWS = 70, COLS = 256, N = ROWS * COLS, BLOCKS = N / NF4_BLOCK };
enum { GROUPS = (BLOCKS + NF4_NESTED - 1) / NF4_NESTED };

static float number(size_t i)
{
	float x = (float)((uint32_t)(i * 2654435761u) >> 8) / 16777216.0f - 0.5f;

	return x * x * x;
}

/* What was quantized, as floats of the dtype that it had. */
static void read_row(const void *ctx, size_t row, float *out)
{
	enum dtype t = *(const enum dtype *)ctx;
	uint16_t half;

	for (size_t i = 0; i < COLS; i++) {
		float x = row == 3 ? 0 : row == 5 && i < 64 ? number(row * COLS + i) * 100 : number(row * COLS + i);
		out[i] = x;
		if (dtypes[t].bytes == 2) {
			dtypes[t].from_float(&x, &half, 1);
			dtypes[t].to_float(&half, &out[i], 1);
		}
	}
}

static const struct st_tensor *part(struct test *t, const struct safetensors *s, const char *name, const char *end)
{
	char *full = mem_printf("%s.weight%s", name, end);
	const struct st_tensor *x = st_find(s, full);

	CHECK_MSG(t, x != NULL, "%s", full);
	mem_free(full);
	return x;
}

struct made {
	uint8_t q[N / 2], code[BLOCKS];
	float scale[BLOCKS], nested[GROUPS], offset;
};

static void check_nested(struct test *t, const struct safetensors *s, const char *name, const char *kind,
                         const struct made *m)
{
	char *state = mem_printf(".quant_state.bitsandbytes__%s", kind);
	const struct st_tensor *text = part(t, s, name, state), *map = part(t, s, name, ".nested_quant_map");
	struct err e = ERR_INIT;
	json_t *j = jsonx_load(text->data, text->bytes, name, &e);

	CHECK(t, !memcmp(m->code, part(t, s, name, ".absmax")->data, sizeof(m->code)));
	CHECK(t, !memcmp(m->nested, part(t, s, name, ".nested_absmax")->data, sizeof(m->nested)));
	float offset = (float)json_real_value(json_object_get(j, "nested_offset"));
	CHECK_MSG(t, m->offset == offset, "%a, theirs %a", (double)m->offset, (double)offset);
	for (int i = 0; i < 256; i++)
		CHECK(t, ((const float *)map->data)[i] == nf4_dynamic((uint8_t)i));
	json_decref(j);
	mem_free(state);
}

static void check_rows(struct test *t, const struct safetensors *s, const char *name, enum dtype form,
                       enum nf4_rounding rounding, const struct made *m)
{
	struct nf4_matrix x = { .rows = ROWS, .cols = COLS, .block = NF4_BLOCK, .rounding = rounding, .q = m->q,
		                .scale = m->scale, .code = m->code, .nested = m->nested, .offset = m->offset };
	uint8_t row[64 + COLS];
	char *plain = mem_printf("%s.plain", name);
	const struct st_tensor *want = st_find(s, plain);
	float got[COLS], from_file[COLS];
	bool equal = true;

	for (size_t r = 0; r < ROWS; r++) {
		nf4_put_row(form, &x, r, row);
		dtypes[form].to_float(row, got, COLS);
		dtypes[want->dtype].to_float((const char *)want->data + r * COLS * dtypes[want->dtype].bytes, from_file,
		                             COLS);
		equal &= !memcmp(got, from_file, sizeof(got));
		dtypes[form].part(row, 80, got, 48);
		equal &= !memcmp(got, from_file + 80, 48 * sizeof(float));
	}
	CHECK(t, equal);
	mem_free(plain);
}

static void check_means(struct test *t, const struct safetensors *s)
{
	static const size_t sizes[] = { 1, 7, 39, 280, 4096, 13824, 32767 };
	float *x = mem_array(32767, sizeof(*x));

	test_case(t, "the mean of scales, as torch adds them up");
	for (size_t i = 0; i < 32767; i++)
		x[i] = fabsf(number(i));
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *name = mem_printf("mean.%zu", sizes[i]);
		float want = *(const float *)st_find(s, name)->data, got = nf4_mean(x, sizes[i]);
		CHECK_MSG(t, got == want, "of %zu: %a, theirs %a", sizes[i], (double)got, (double)want);
		mem_free(name);
	}
	mem_free(x);
}

void test_nf4(struct test *t);
void test_nf4(struct test *t)
{
	static const struct { const char *name, *kind; enum dtype form, from; enum nf4_rounding rounding; } kinds[] = {
		{ "a", "nf4", DTYPE_NF4_DQ, DTYPE_BF16, NF4_BF16 }, { "b", "nf4", DTYPE_NF4, DTYPE_F16, NF4_F16 },
		{ "c", "fp4", DTYPE_FP4_DQ, DTYPE_F32, NF4_F32 },   { "d", "nf4", DTYPE_NF4_DQ, DTYPE_F32, NF4_F32 },
	};
	char *path = io_join(test_golden(), "values/nf4.safetensors");
	struct pool *pool = pool_new(3);
	struct made *m = mem_alloc(sizeof(*m));
	struct err e = ERR_INIT;
	struct safetensors s;

	CHECK_MSG(t, st_open(&s, path, &e) == 0, "%s", e.msg);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct nf4_source x = { ROWS, COLS, read_row, &kinds[i].from };
		test_case(t, "%s from %s as bitsandbytes quantizes, bit for bit", dtypes[kinds[i].form].name,
		          dtypes[kinds[i].from].name);
		CHECK(t, nf4_quantize(kinds[i].form, pool, &x, m->q, m->scale, m->code, m->nested, &m->offset) == 0);
		CHECK(t, !memcmp(m->q, part(t, &s, kinds[i].name, "")->data, sizeof(m->q)));
		if (nf4_is_nested(kinds[i].form))
			check_nested(t, &s, kinds[i].name, kinds[i].kind, m);
		else
			CHECK(t, !memcmp(m->scale, part(t, &s, kinds[i].name, ".absmax")->data, sizeof(m->scale)));
		check_rows(t, &s, kinds[i].name, kinds[i].form, kinds[i].rounding, m);
	}
	check_means(t, &s);
	st_close(&s);
	mem_free(m);
	pool_free(pool);
	mem_free(path);
}
