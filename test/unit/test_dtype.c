/* dtype: the 16-bit floats over all their values, the block formats against values of llama.cpp's own dequantization
 * (made with the Python package gguf from the same bytes), and the refusals. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "tensor/dtype.h"

static uint32_t bits(float x)
{
	uint32_t u;
	memcpy(&u, &x, sizeof(u));
	return u;
}

/* The nearest of all 16-bit values, ties to the even one, found by looking at the neighbours of what was returned. */
static bool is_nearest(float x, uint16_t h, float (*to_float)(uint16_t))
{
	double d = fabs((double)to_float(h) - x);

	for (int step = -1; step <= 1; step += 2) {
		uint16_t other = (uint16_t)(h + step);
		if ((h & 0x7fff) == 0 && step < 0)
			other = (uint16_t)((h ^ 0x8000) + 1);
		double o = fabs((double)to_float(other) - x);
		if (o < d || (o == d && (h & 1)))
			return false;
	}
	return true;
}

static void test_f16(struct test *t)
{
	test_case(t, "f16: every value comes back");
	for (uint32_t h = 0; h < 65536; h++) {
		float x = f16_to_float((uint16_t)h);
		if ((h & 0x7fff) > 0x7c00)
			CHECK(t, isnan(x) && isnan(f16_to_float(f16_from_float(x))));
		else
			CHECK_MSG(t, f16_from_float(x) == h, "%04x", h);
	}
	test_case(t, "f16: known values");
	CHECK(t, f16_to_float(0x3c00) == 1 && f16_to_float(0xc000) == -2 && f16_to_float(0x7bff) == 65504 &&
	                 f16_to_float(1) == 0x1p-24f);
	CHECK(t,
	      f16_from_float(65519) == 0x7bff && f16_from_float(65520) == 0x7c00 && f16_from_float(-1e30f) == 0xfc00);
	CHECK(t, f16_from_float(0x1p-25f) == 0 && f16_from_float(0x1.8p-25f) == 1 &&
	                 bits(f16_to_float(0x8000)) == 0x80000000);
	test_case(t, "f16: nearest, ties to even");
	struct rng_stream rng = { 1 };
	for (int i = 0; i < 20000; i++) {
		float x = ldexpf(rng_next_float(&rng), (int)rng_below(&rng, 36) - 22);
		if (fabsf(x) < 65000)
			CHECK_MSG(t, is_nearest(x, f16_from_float(x), f16_to_float), "%a", x);
	}
}

static void test_bf16(struct test *t)
{
	test_case(t, "bf16: every value comes back");
	for (uint32_t h = 0; h < 65536; h++) {
		float x = bf16_to_float((uint16_t)h);
		if ((h & 0x7fff) > 0x7f80)
			CHECK(t, isnan(bf16_to_float(bf16_from_float(x))));
		else
			CHECK_MSG(t, bf16_from_float(x) == h, "%04x", h);
	}
	test_case(t, "bf16: nearest, ties to even");
	struct rng_stream rng = { 2 };
	for (int i = 0; i < 20000; i++) {
		float x = ldexpf(rng_next_float(&rng), (int)rng_below(&rng, 200) - 100);
		CHECK_MSG(t, is_nearest(x, bf16_from_float(x), bf16_to_float), "%a", x);
	}
	CHECK(t, bf16_from_float(0x1.01p0f) == 0x3f80 && bf16_from_float(0x1.03p0f) == 0x3f82);
}

/* One block of a fixed pattern: byte i and the f16 fields 0.1 and −0.0387. */
static void block_pattern(enum dtype d, int number, uint8_t *b)
{
	static const uint16_t fields[2] = { 0x2e66, 0xa8f5 };
	int at[2] = { d == DTYPE_Q6_K ? 208 : 0,
		      d == DTYPE_Q4_1 || d == DTYPE_Q5_1 || d == DTYPE_Q4_K || d == DTYPE_Q5_K ? 2 : -1 };

	for (int i = 0; i < (int)dtypes[d].bytes; i++)
		b[i] = (uint8_t)((i * 7919 * (number + 1) + 1013 * number + i * i * 31) >> 3);
	for (int f = 0; f < 2 && at[f] >= 0; f++) {
		b[at[f]] = (uint8_t)fields[f];
		b[at[f] + 1] = (uint8_t)(fields[f] >> 8);
	}
}

/* FNV-1a, 64 bits, over words or bytes; −0 counts as 0. */
static uint64_t hash_add(uint64_t h, uint32_t word)
{
	return (h ^ word) * 1099511628211u;
}

struct golden {
	enum dtype dtype;
	uint64_t hash;
	float at[10]; /* numbers 0 1 15 16 17 31 n/2 n/2+1 n−17 n−1 */
};

static const struct golden goldens[] = {
	{ DTYPE_Q4_0,
	  0x4975a56f82b9eda5,
	  { 0.299926758f, 0.399902344f, 0.299926758f, 0.399902344f, 0.299926758f, -0.699829102f, 0.399902344f,
	    0.299926758f, 0.299926758f, -0.699829102f } },
	{ DTYPE_Q4_1,
	  0x336481189aceb8a5,
	  { 1.06100464f, 0.961029053f, 0.361175537f, 0.961029053f, 0.761077881f, 1.3609314f, 0.961029053f, 0.761077881f,
	    0.361175537f, 1.3609314f } },
	{ DTYPE_Q5_0,
	  0x438e51f8d0eabda5,
	  { -1.3996582f, -0.199951172f, 0.399902344f, 0.199951172f, -0.199951172f, -1.19970703f, 0.199951172f,
	    -0.199951172f, 0.399902344f, -1.19970703f } },
	{ DTYPE_Q5_1,
	  0x47e1a5db9d73bfa5,
	  { 3.06051636f, 2.46066284f, 0.961029053f, 0.161224365f, 1.3609314f, 0.261199951f, 0.161224365f, 1.3609314f,
	    0.961029053f, 0.261199951f } },
	{ DTYPE_Q8_0,
	  0x38003a801fb480a5,
	  { -7.59814453f, 2.89929199f, 0.49987793f, -2.99926758f, -5.6986084f, 11.8970947f, -2.99926758f, -5.6986084f,
	    0.49987793f, 11.8970947f } },
	{ DTYPE_Q4_K,
	  0x090c4826bbe6f899,
	  { 5.62472534f, 0.425994873f, 4.02511597f, 0.825897217f, 0.425994873f, 0.825897217f, 59.7854004f, 0.0f,
	    1.78143311f, 34.7733765f } },
	{ DTYPE_Q5_K,
	  0x900c48dde60186a7,
	  { 170.327637f, 36.9602051f, 13.7658691f, 181.924805f, 25.3630371f, 48.557373f, 10.6982117f, 58.186615f,
	    1.47161865f, 1.47161865f } },
	{ DTYPE_Q6_K,
	  0xb69224675ab87dc1,
	  { -44.3891602f, 51.7873535f, -229.343994f, 72.5822754f, -133.067505f, 229.843872f, -53.9868164f, 62.9846191f,
	    -21.6947021f, 142.165283f } },
};

static void test_blocks(struct test *t)
{
	for (size_t g = 0; g < ARRAY_LEN(goldens); g++) {
		const struct golden *w = &goldens[g];
		const struct dtype_info *d = &dtypes[w->dtype];
		uint32_t n = d->block, at[10] = { 0, 1, 15, 16, 17, 31, n / 2, n / 2 + 1, n - 17, n - 1 };
		uint8_t b[256];
		float y[256], part[16];
		uint64_t h = 14695981039346656037u;

		test_case(t, "%s: dequantized as llama.cpp does, bit for bit", d->name);
		block_pattern(w->dtype, (int)g, b);
		d->to_float(b, y, n);
		for (int i = 0; i < 10; i++)
			CHECK_MSG(t, y[at[i]] == w->at[i], "number %u: %.9g, wanted %.9g", at[i], y[at[i]], w->at[i]);
		for (uint32_t i = 0; i < n; i++)
			h = hash_add(h, y[i] == 0 ? 0 : bits(y[i]));
		CHECK_MSG(t, h == w->hash, "hash %016llx", (unsigned long long)h);
		test_case(t, "%s: entered at any run of 16", d->name);
		for (uint32_t j = 0; j < n; j += 16) {
			d->part(b, j, part, 16);
			CHECK(t, memcmp(part, y + j, sizeof(part)) == 0);
		}
	}
}

static void test_quantizers(struct test *t)
{
	static const struct { enum dtype dtype; uint64_t hash; } want[] = {
		{ DTYPE_Q4_0, 0x4afeffa1d6595f },
		{ DTYPE_Q4_1, 0x3b1bf219444f05c7 },
		{ DTYPE_Q8_0, 0x5f0bb0b9542894d4 },
	};
	float x[256];

	for (int i = 0; i < 256; i++)
		x[i] = i < 32 ? 0 : (float)((i * 7919 + i * i * 31) % 2001 - 1000) / 1000.0f;
	for (size_t k = 0; k < ARRAY_LEN(want); k++) {
		const struct dtype_info *d = &dtypes[want[k].dtype];
		uint8_t out[512];
		uint64_t h = 14695981039346656037u;
		test_case(t, "%s: quantized as llama.cpp does", d->name);
		d->from_float(x, out, 256);
		for (size_t i = 0; i < 256 / d->block * d->bytes; i++)
			h = hash_add(h, out[i]);
		CHECK_MSG(t, h == want[k].hash, "hash %016llx", (unsigned long long)h);
	}
}

/* Values worked out from the formats' definitions: signs, the smallest, the largest, what is none. */
static void test_small_floats(struct test *t)
{
	static const struct { uint8_t b; float e4m3, e5m2; } rows[] = {
		{ 0x00, 0, 0 },        { 0x01, 0x1p-9f, 0x1p-16f }, { 0x07, 7 * 0x1p-9f, 0x1.cp-14f },
		{ 0x08, 0x1p-6f, 0x1p-13f }, { 0x38, 1, 0.5f },     { 0x3c, 1.5f, 1 },
		{ 0x7e, 448, NAN },    { 0x7f, NAN, NAN },          { 0x7b, 352, 57344 },
		{ 0x7c, 384, INFINITY }, { 0x80, -0.0f, -0.0f },    { 0xb8, -1, -0.5f },
	};
	static const struct { double x; float want; } doubles[] = {
		{ 0x1p-149, 0x1p-149f }, { 0x1p-150, 0 }, { 0x1.8p-150, 0x1p-149f }, { 0x1.8p-149, 0x1p-148f },
		{ -0x1.fffffffp-127, -0x1p-126f }, { 1e300, INFINITY }, { 1.0 / 3, 0x1.555556p-2f },
		{ 1.0 + 0x1p-24, 1 }, { 0x1p-200, 0 },
	};

	test_case(t, "8-bit floats and doubles, denormals flushed or not");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		float a = f8_e4m3_to_float(rows[i].b), b = f8_e5m2_to_float(rows[i].b);
		CHECK_MSG(t, !memcmp(&a, &rows[i].e4m3, 4) || (isnan(a) && isnan(rows[i].e4m3)), "%02x: %g",
		          rows[i].b, (double)a);
		CHECK_MSG(t, !memcmp(&b, &rows[i].e5m2, 4) || (isnan(b) && isnan(rows[i].e5m2)), "%02x: %g",
		          rows[i].b, (double)b);
	}
	for (size_t i = 0; i < ARRAY_LEN(doubles); i++)
		CHECK_MSG(t, f64_to_float(doubles[i].x) == doubles[i].want, "%a", doubles[i].x);
}

static void test_table(struct test *t)
{
	struct err e = ERR_INIT;
	size_t bytes = 0;

	test_case(t, "dtypes are found by each of their names");
	for (int d = 0; d < DTYPE_COUNT; d++) {
		CHECK(t, dtype_from_name(dtypes[d].name) == d);
		CHECK(t, dtypes[d].gguf < 0 || dtype_from_gguf((uint32_t)dtypes[d].gguf) == d);
		CHECK(t, !dtypes[d].safetensors || dtype_from_safetensors(dtypes[d].safetensors) == d);
	}
	CHECK(t, dtype_from_name("q4_1") == DTYPE_Q4_1 && dtype_from_name("q4") == -1);
	CHECK(t, dtype_from_gguf(12) == DTYPE_Q4_K && dtype_from_gguf(4) == -1 && dtype_from_safetensors("F4") == -1);

	test_case(t, "bytes, and what has none");
	CHECK(t, dtype_bytes(DTYPE_Q4_K, 512, &bytes, &e) == 0 && bytes == 288);
	CHECK(t, dtype_bytes(DTYPE_Q4_0, 48, &bytes, &e) == -1 && strstr(e.msg, "48") && strstr(e.msg, "32"));
	CHECK(t, dtype_bytes(DTYPE_F32, SIZE_MAX / 2, &bytes, &e) == -1 && strstr(e.msg, "F32"));
}

void test_dtype(struct test *t);
void test_dtype(struct test *t)
{
	test_f16(t);
	test_bf16(t);
	test_blocks(t);
	test_quantizers(t);
	test_small_floats(t);
	test_table(t);
}
