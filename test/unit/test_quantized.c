/* test_quantized: matrices of GPTQ, AWQ and 8-bit floats by hand (tools/check-quantized has whole models): a zero that
 * is off by one, words read from the wrong end, or a group too far would show in a number; shapes that do not fit are
 * refused before anything is read. */
#include "../test.h"

#include <string.h>

#include "base/mem.h"
#include "format/quantized.h"

/* A folder of one module: 8 inputs, 8 outputs, two groups of 4 inputs. */
static char *make_folder(struct test *t, const char *config, const struct st_tensor *tensors, size_t n)
{
	struct err e = ERR_INIT;
	char *dir = mem_printf("%s/quantized", test_tmp()), *file = io_join(dir, "model.safetensors"),
	     *json = io_join(dir, "config.json"), *text = mem_printf("{\"quantization_config\": %s}", config);

	CHECK_MSG(t, io_mkdirs(dir, &e) == 0 && io_write(json, text, strlen(text), &e) == 0 &&
	                     st_write(file, tensors, n, NULL, 0, NULL, NULL, &e) == 0, "%s", e.msg);
	mem_free(file);
	mem_free(json);
	mem_free(text);
	return dir;
}

static struct st_tensor words(const char *name, size_t rows, size_t cols, const uint32_t *data)
{
	return (struct st_tensor){ .name = name, .dtype = DTYPE_I32, .n_dims = cols ? 2 : 1, .dim = { rows, cols },
		                   .data = data, .bytes = 4 * rows * MAX(cols, (size_t)1) };
}

static void check_matrix(struct test *t, const char *dir, const float *want)
{
	struct source s;
	struct source_tensor w;
	struct err e = ERR_INIT;
	float got[64] = { 0 };

	if (source_open(&s, dir, &e) < 0) {
		CHECK_MSG(t, false, "%s", e.msg);
		return;
	}
	CHECK(t, source_count(&s) == 1 && source_find(&s, "a.weight", &w) == 0 && source_find(&s, "a.qweight", &w));
	if (source_find(&s, "a.weight", &w) == 0) {
		CHECK(t, w.n_dims == 2 && w.dim[0] == 8 && w.dim[1] == 8);
		dtypes[w.dtype].to_float(w.data, got, 64);
		CHECK(t, !memcmp(got, want, sizeof(got)));
	}
	source_close(&s);
}

static void check_refused(struct test *t, const char *dir, const char *why)
{
	struct source s;
	struct err e = ERR_INIT;
	int status = source_open(&s, dir, &e);

	CHECK_MSG(t, status < 0 && strstr(e.msg, why), "wanted \"%s\", got \"%s\"", why, e.msg);
	if (status == 0)
		source_close(&s);
}

/* q[i][o] = (i + o) % 16, z[g][o] = 3 + g, s[g][o] = g + 1 */
static void fill(float want[64], const uint32_t group[8])
{
	for (int o = 0; o < 8; o++)
		for (int i = 0; i < 8; i++)
			want[8 * o + i] = (float)((i + o) % 16 - (int)(3 + group[i])) * (float)(group[i] + 1);
}

static void test_gptq(struct test *t)
{
	static const uint32_t in_order[8] = { 0, 0, 0, 0, 1, 1, 1, 1 }, other[8] = { 1, 0, 0, 1, 0, 1, 1, 0 };
	uint32_t q[8] = { 0 }, z[2] = { 0x22222222, 0x33333333 };
	uint16_t scale[16];
	float want[64];

	for (int o = 0; o < 8; o++)
		for (int i = 0; i < 8; i++)
			q[o] |= (uint32_t)(i + o) % 16 << (4 * i);
	for (int k = 0; k < 16; k++)
		scale[k] = f16_from_float(k < 8 ? 1 : 2);
	struct st_tensor list[] = {
		words("a.qweight", 1, 8, q), words("a.qzeros", 2, 1, z),
		{ .name = "a.scales", .dtype = DTYPE_F16, .n_dims = 2, .dim = { 2, 8 }, .data = scale, .bytes = 32 },
		words("a.g_idx", 8, 0, other),
	};
	static const char config[] = "{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 4}";
	test_case(t, "GPTQ: zeros less one, groups in order and by g_idx");
	char *dir = make_folder(t, config, list, 3);
	fill(want, in_order);
	check_matrix(t, dir, want);
	mem_free(dir);
	dir = make_folder(t, config, list, 4);
	fill(want, other);
	check_matrix(t, dir, want);
	mem_free(dir);

	test_case(t, "shapes and groups that do not fit");
	static const uint32_t beyond[8] = { 0, 0, 0, 2 };
	list[3].data = beyond;
	dir = make_folder(t, config, list, 4);
	check_refused(t, dir, "g_idx beyond its groups");
	mem_free(dir);
	dir = make_folder(t, "{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 2}", list, 3);
	check_refused(t, dir, "do not fit each other");
	mem_free(dir);
	dir = make_folder(t, config, list, 2);
	check_refused(t, dir, "no proper qweight, qzeros and scales");
	mem_free(dir);
}

static void test_awq(struct test *t)
{
	static const int order[8] = { 0, 2, 4, 6, 1, 3, 5, 7 };
	static const uint32_t in_order[8] = { 0, 0, 0, 0, 1, 1, 1, 1 };
	uint32_t q[8] = { 0 }, z[2] = { 0x33333333, 0x44444444 };
	uint16_t scale[16];
	float want[64];

	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 8; k++)
			q[i] |= (uint32_t)(i + order[k]) % 16 << (4 * k);
	for (int k = 0; k < 16; k++)
		scale[k] = f16_from_float(k < 8 ? 1 : 2);
	struct st_tensor list[] = {
		words("a.qweight", 8, 1, q), words("a.qzeros", 2, 1, z),
		{ .name = "a.scales", .dtype = DTYPE_F16, .n_dims = 2, .dim = { 2, 8 }, .data = scale, .bytes = 32 },
	};
	test_case(t, "AWQ: its order of columns");
	char *dir = make_folder(t, "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 4}", list, 3);
	fill(want, in_order);
	check_matrix(t, dir, want);
	mem_free(dir);
}

static void test_float8(struct test *t)
{
	uint8_t w[64];
	float scale[4] = { 1, 2, 3, 4 }, want[64];

	for (int k = 0; k < 64; k++) {
		w[k] = (uint8_t)(0x38 + k % 8); /* 1, 1.125 … 1.875 */
		want[k] = (1 + (float)(k % 8) / 8) * scale[k / 32 * 2 + k % 8 / 4];
	}
	struct st_tensor list[] = {
		{ .name = "a.weight", .dtype = DTYPE_F8_E4M3, .n_dims = 2, .dim = { 8, 8 }, .data = w, .bytes = 64 },
		{ .name = "a.weight_scale_inv", .dtype = DTYPE_F32, .n_dims = 2, .dim = { 2, 2 }, .data = scale,
		  .bytes = 16 },
	};
	test_case(t, "8-bit floats with a scale for each tile");
	char *dir = make_folder(t, "{\"quant_method\": \"fp8\", \"weight_block_size\": [4, 4]}", list, 2);
	check_matrix(t, dir, want);
	mem_free(dir);
	dir = make_folder(t, "{\"quant_method\": \"fp8\", \"weight_block_size\": [4, 2]}", list, 2);
	check_refused(t, dir, "scales for other rows, columns or tiles");
	mem_free(dir);
}

/* Sizes of 0 beside ones that no file could hold, which a loop over rows would never end; a matrix that is there
 * twice. */
static void test_hostile(struct test *t)
{
	static const char gptq[] = "{\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 4}";
	uint32_t q[8] = { 0 }, z[2] = { 0 };
	uint8_t w[64] = { 0 };
	float scale[16] = { 0 };
	struct st_tensor list[] = {
		words("a.qweight", 1, 8, q), words("a.qzeros", 2, 1, z),
		{ .name = "a.scales", .dtype = DTYPE_F32, .n_dims = 2, .dim = { 2, 8 }, .data = scale, .bytes = 64 },
		{ .name = "a.weight", .dtype = DTYPE_F8_E4M3, .n_dims = 2, .dim = { 8, 8 }, .data = w, .bytes = 64 },
	};
	test_case(t, "matrices of nothing, and one that is there twice");
	char *dir = make_folder(t, gptq, list, 4);
	check_refused(t, dir, "'a.weight' is there both quantized and as it is");
	mem_free(dir);
	list[0] = words("a.qweight", 0, (size_t)1 << 59, q);
	list[1] = words("a.qzeros", 0, (size_t)1 << 56, z);
	list[2].dim[0] = list[2].bytes = 0;
	list[2].dim[1] = (size_t)1 << 59;
	dir = make_folder(t, gptq, list, 3);
	check_refused(t, dir, "do not fit each other");
	mem_free(dir);

	struct st_tensor floats[] = {
		list[3], { .name = "a.weight_scale", .dtype = DTYPE_F32, .data = scale, .bytes = 4 },
	};
	floats[0].dim[0] = (size_t)1 << 60;
	floats[0].dim[1] = floats[0].bytes = 0;
	dir = make_folder(t, "{\"quant_method\": \"fp8\"}", floats, 2);
	check_refused(t, dir, "is no matrix of 8-bit floats");
	mem_free(dir);
}

static void test_configs(struct test *t)
{
	static const char *const refused[][2] = {
		{ "{\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true}", "load_in_4bit is missing" },
		{ "{\"quant_method\": \"hqq\"}", "quant_method is \"hqq\"" },
		{ "{\"quant_method\": \"gptq\", \"bits\": 3}", "bits is 3" },
		{ "{\"quant_method\": \"gptq\", \"bits\": 4, \"checkpoint_format\": \"marlin\"}",
		  "checkpoint_format is \"marlin\"" },
		{ "{\"quant_method\": \"awq\", \"bits\": 4, \"version\": \"gemv\"}", "version is \"gemv\"" },
		{ "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\"}",
		  "format is \"pack-quantized\"" },
		{ "{\"quant_method\": \"gptq\", \"bits\": 4294967300}", "bits is 4294967300" },
		{ "{\"bits\": 4}", "quant_method is missing" },
	};

	test_case(t, "other quantizers, and other forms, by name");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		struct err e = ERR_INIT;
		json_t *j = json_loads(refused[i][0], 0, NULL);
		CHECK_MSG(t, quantized_check(j, "config.json", &e) < 0 && strstr(e.msg, refused[i][1]), "%s", e.msg);
		json_decref(j);
	}
}

/* What bitsandbytes makes of its own matrices (tools/golden/nf4.py), bit for bit; and one whose scales are too few. */
static void test_float4(struct test *t)
{
	struct safetensors s;
	struct source source;
	struct source_tensor w;
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "values/nf4.safetensors");
	static const char config[] = "{\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true}";

	static const enum dtype forms[] = { DTYPE_NF4_DQ, DTYPE_NF4, DTYPE_FP4_DQ };

	test_case(t, "4-bit floats of bitsandbytes, their scales quantized or not: bit for bit");
	CHECK_MSG(t, st_open(&s, path, &e) == 0, "%s", e.msg);
	char *dir = make_folder(t, config, s.tensors, s.n_tensors);
	CHECK_MSG(t, source_open(&source, dir, &e) == 0, "%s", e.msg);
	for (const char *name = "abc"; *name; name++) {
		char plain[16], weight[16];
		snprintf(plain, sizeof(plain), "%c.plain", *name);
		snprintf(weight, sizeof(weight), "%c.weight", *name);
		const struct st_tensor *want = st_find(&s, plain);
		float *got = mem_array(2 * 70 * 256, sizeof(*got)), *their = got + 70 * 256;
		dtypes[want->dtype].to_float(want->data, their, 70 * 256);
		bool is_there = source_find(&source, weight, &w) == 0 && w.n_dims == 2 && w.dtype == forms[*name - 'a'];
		CHECK_MSG(t, is_there && w.bytes == 70 * dtype_row_bytes(w.dtype, 256), "%s", weight);
		dtype_rows_to_float(w.dtype, w.data, 70, 256, got);
		CHECK_MSG(t, !memcmp(got, their, 70 * 256 * sizeof(*got)), "%s", weight);
		mem_free(got);
	}
	source_close(&source);
	mem_free(dir);
	for (size_t i = 0; i < s.n_tensors; i++)
		if (!strcmp(s.tensors[i].name, "a.weight.absmax"))
			s.tensors[i].dim[0] = s.tensors[i].bytes = 200;
	dir = make_folder(t, config, s.tensors, s.n_tensors);
	check_refused(t, dir, "has no absmax for its blocks");
	mem_free(dir);
	st_close(&s);
	mem_free(path);
}

void test_quantized(struct test *t);
void test_quantized(struct test *t)
{
	test_gptq(t);
	test_awq(t);
	test_float8(t);
	test_float4(t);
	test_hostile(t);
	test_configs(t);
}
