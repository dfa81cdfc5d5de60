/* dtype: the table of storage types and the two 16-bit floats.
 *
 * Conversions are integer arithmetic wherever a denormal could appear, because every thread runs with
 * denormals flushed: the 16-bit value must not depend on that. */
#include "tensor/dtype.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "quant/quant.h"

static uint32_t bits_of(float x)
{
	uint32_t u;
	memcpy(&u, &x, sizeof(u));
	return u;
}

static float float_of(uint32_t u)
{
	float x;
	memcpy(&x, &u, sizeof(x));
	return x;
}

/* IEEE binary16. Below 2^-14 adding 0.5 aligns the last place to 2^-24, so the sum rounds to nearest even by itself. */
uint16_t f16_from_float(float x)
{
	uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;

	if (a > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
	if (a >= 0x47800000)
		return (uint16_t)(sign | 0x7c00);
	if (a < 0x38800000)
		return (uint16_t)(sign | (bits_of(float_of(a) + 0.5f) - 0x3f000000));
	a += 0xfff + (a >> 13 & 1);
	return (uint16_t)(sign | (a - 0x38000000) >> 13);
}

float f16_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;

	if (e == 0)
		return float_of(sign | bits_of((float)m * 0x1p-24f));
	if (e == 31)
		return float_of(sign | 0x7f800000 | m << 13 | (m ? 0x400000 : 0));
	return float_of(sign | (e + 112) << 23 | m << 13);
}

/* bfloat16: the upper half of binary32. */
uint16_t bf16_from_float(float x)
{
	uint32_t u = bits_of(x);

	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float bf16_to_float(uint16_t h)
{
	return float_of((uint32_t)h << 16);
}

/* Below 2^-126 the place of the last bit is fixed: the significand is shifted and rounded by hand. */
float f64_to_float(double x)
{
	uint64_t u;
	memcpy(&u, &x, sizeof(u));
	uint32_t sign = (uint32_t)(u >> 32) & 0x80000000;
	int e = (int)(u >> 52 & 0x7ff) - 1023;
	uint64_t m = (u & 0xfffffffffffff) | (uint64_t)1 << 52;

	if (e >= -126)
		return (float)x;
	if (e < -151)
		return float_of(sign);
	int shift = 29 + (-126 - e);
	uint64_t rest = m & (((uint64_t)1 << shift) - 1), half = (uint64_t)1 << (shift - 1);
	m >>= shift;
	m += rest > half || (rest == half && m & 1);
	return float_of(sign | (uint32_t)m);
}

/* OCP's 8-bit floats (Micikevicius et al. 2022). */
float f8_e4m3_to_float(uint8_t b)
{
	uint32_t sign = (uint32_t)(b & 0x80) << 24, e = b >> 3 & 15, m = b & 7;

	if (e == 0)
		return float_of(sign | bits_of((float)m * 0x1p-9f));
	if (e == 15 && m == 7)
		return float_of(sign | 0x7fc00000);
	return float_of(sign | (e + 120) << 23 | m << 20);
}

float f8_e5m2_to_float(uint8_t b) { return f16_to_float((uint16_t)(b << 8)); }

static void f64_part(const void *row, size_t j0, float *dst, size_t n)
{
	const char *p = (const char *)row + 8 * j0;
	double x;

	for (size_t i = 0; i < n; i++) {
		memcpy(&x, p + 8 * i, sizeof(x));
		dst[i] = f64_to_float(x);
	}
}

static void f8_e4m3_part(const void *row, size_t j0, float *dst, size_t n)
{
	const uint8_t *p = (const uint8_t *)row + j0;

	for (size_t i = 0; i < n; i++)
		dst[i] = f8_e4m3_to_float(p[i]);
}

static void f8_e5m2_part(const void *row, size_t j0, float *dst, size_t n)
{
	const uint8_t *p = (const uint8_t *)row + j0;

	for (size_t i = 0; i < n; i++)
		dst[i] = f8_e5m2_to_float(p[i]);
}

static void f64_to_floats(const void *src, float *dst, size_t n) { f64_part(src, 0, dst, n); }
static void f8_e4m3_to_floats(const void *src, float *dst, size_t n) { f8_e4m3_part(src, 0, dst, n); }
static void f8_e5m2_to_floats(const void *src, float *dst, size_t n) { f8_e5m2_part(src, 0, dst, n); }

static void f32_part(const void *row, size_t j0, float *dst, size_t n)
{
	memcpy(dst, (const char *)row + j0 * sizeof(float), n * sizeof(float));
}

static void f16_part(const void *row, size_t j0, float *dst, size_t n)
{
	const uint8_t *p = (const uint8_t *)row + 2 * j0;

	for (size_t i = 0; i < n; i++)
		dst[i] = f16_to_float((uint16_t)(p[2 * i] | p[2 * i + 1] << 8));
}

static void bf16_part(const void *row, size_t j0, float *dst, size_t n)
{
	const uint8_t *p = (const uint8_t *)row + 2 * j0;

	for (size_t i = 0; i < n; i++)
		dst[i] = bf16_to_float((uint16_t)(p[2 * i] | p[2 * i + 1] << 8));
}

static void f32_to_float(const void *src, float *dst, size_t n) { f32_part(src, 0, dst, n); }
static void f16_array_to_float(const void *src, float *dst, size_t n) { f16_part(src, 0, dst, n); }
static void bf16_array_to_float(const void *src, float *dst, size_t n) { bf16_part(src, 0, dst, n); }

static void f32_from_float(const float *src, void *dst, size_t n)
{
	memcpy(dst, src, n * sizeof(float));
}

static void write_u16(uint8_t *p, uint16_t h)
{
	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
}

static void f16_array_from_float(const float *src, void *dst, size_t n)
{
	for (size_t i = 0; i < n; i++)
		write_u16((uint8_t *)dst + 2 * i, f16_from_float(src[i]));
}

static void bf16_array_from_float(const float *src, void *dst, size_t n)
{
	for (size_t i = 0; i < n; i++)
		write_u16((uint8_t *)dst + 2 * i, bf16_from_float(src[i]));
}

int dtype_bytes(enum dtype t, size_t n, size_t *bytes, struct err *e)
{
	const struct dtype_info *d = &dtypes[t];

	if (n % d->block)
		return err_set(e, "%zu numbers are no multiple of %s's block of %u", n, d->name, d->block);
	if (!size_mul(n / d->block, d->bytes, bytes) || *bytes > SIZE_MAX - dtype_head(t))
		return err_set(e, "%zu numbers of %s are more bytes than an address can count", n, d->name);
	*bytes += dtype_head(t);
	return 0;
}

void dtype_rows_to_float(enum dtype t, const void *src, size_t rows, size_t cols, float *dst)
{
	if (dtype_head(t) == 0) {
		dtypes[t].to_float(src, dst, rows * cols);
		return;
	}
	for (size_t i = 0; i < rows; i++)
		dtypes[t].to_float((const char *)src + i * dtype_row_bytes(t, cols), dst + i * cols, cols);
}

int dtype_from_gguf(uint32_t type)
{
	for (int i = 0; i < DTYPE_COUNT; i++)
		if (dtypes[i].gguf >= 0 && (uint32_t)dtypes[i].gguf == type)
			return i;
	return -1;
}

int dtype_from_safetensors(const char *name)
{
	for (int i = 0; i < DTYPE_COUNT; i++)
		if (dtypes[i].safetensors && strcmp(dtypes[i].safetensors, name) == 0)
			return i;
	return -1;
}

int dtype_from_name(const char *name)
{
	for (int i = 0; i < DTYPE_COUNT; i++)
		if (strcasecmp(dtypes[i].name, name) == 0)
			return i;
	return -1;
}

/* name, block, bytes, number in GGUF, name in safetensors, to_float, from_float, part */
const struct dtype_info dtypes[DTYPE_COUNT] = {
	[DTYPE_F32] = { "F32", 1, 4, 0, "F32", f32_to_float, f32_from_float, f32_part },
	[DTYPE_F16] = { "F16", 1, 2, 1, "F16", f16_array_to_float, f16_array_from_float, f16_part },
	[DTYPE_BF16] = { "BF16", 1, 2, 30, "BF16", bf16_array_to_float, bf16_array_from_float, bf16_part },
	[DTYPE_Q4_0] = { "Q4_0", 32, 18, 2, NULL, q4_0_to_float, q4_0_from_float, q4_0_part },
	[DTYPE_Q4_1] = { "Q4_1", 32, 20, 3, NULL, q4_1_to_float, q4_1_from_float, q4_1_part },
	[DTYPE_Q5_0] = { "Q5_0", 32, 22, 6, NULL, q5_0_to_float, NULL, q5_0_part },
	[DTYPE_Q5_1] = { "Q5_1", 32, 24, 7, NULL, q5_1_to_float, NULL, q5_1_part },
	[DTYPE_Q8_0] = { "Q8_0", 32, 34, 8, NULL, q8_0_to_float, q8_0_from_float, q8_0_part },
	[DTYPE_Q4_K] = { "Q4_K", 256, 144, 12, NULL, q4_k_to_float, NULL, q4_k_part },
	[DTYPE_Q5_K] = { "Q5_K", 256, 176, 13, NULL, q5_k_to_float, NULL, q5_k_part },
	[DTYPE_Q6_K] = { "Q6_K", 256, 210, 14, NULL, q6_k_to_float, NULL, q6_k_part },
	[DTYPE_Q1_0] = { "Q1_0", 128, 18, 41, NULL, q1_0_to_float, NULL, q1_0_part },
	[DTYPE_Q2_0] = { "Q2_0", 64, 18, 42, NULL, q2_0_to_float, NULL, q2_0_part },
	[DTYPE_Q2_K] = { "Q2_K", 256, 84, 10, NULL, q2_k_to_float, NULL, q2_k_part },
	[DTYPE_Q3_K] = { "Q3_K", 256, 110, 11, NULL, q3_k_to_float, NULL, q3_k_part },
	[DTYPE_IQ1_S] = { "IQ1_S", 256, 50, 19, NULL, iq1_s_to_float, NULL, iq1_s_part },
	[DTYPE_IQ1_M] = { "IQ1_M", 256, 56, 29, NULL, iq1_m_to_float, NULL, iq1_m_part },
	[DTYPE_IQ2_XXS] = { "IQ2_XXS", 256, 66, 16, NULL, iq2_xxs_to_float, NULL, iq2_xxs_part },
	[DTYPE_IQ2_XS] = { "IQ2_XS", 256, 74, 17, NULL, iq2_xs_to_float, NULL, iq2_xs_part },
	[DTYPE_IQ2_S] = { "IQ2_S", 256, 82, 22, NULL, iq2_s_to_float, NULL, iq2_s_part },
	[DTYPE_IQ3_XXS] = { "IQ3_XXS", 256, 98, 18, NULL, iq3_xxs_to_float, NULL, iq3_xxs_part },
	[DTYPE_IQ3_S] = { "IQ3_S", 256, 110, 21, NULL, iq3_s_to_float, NULL, iq3_s_part },
	[DTYPE_IQ4_NL] = { "IQ4_NL", 32, 18, 20, NULL, iq4_nl_to_float, NULL, iq4_nl_part },
	[DTYPE_IQ4_XS] = { "IQ4_XS", 256, 136, 23, NULL, iq4_xs_to_float, NULL, iq4_xs_part },
	[DTYPE_TQ1_0] = { "TQ1_0", 256, 54, 34, NULL, tq1_0_to_float, NULL, tq1_0_part },
	[DTYPE_TQ2_0] = { "TQ2_0", 256, 66, 35, NULL, tq2_0_to_float, NULL, tq2_0_part },
	[DTYPE_MXFP4] = { "MXFP4", 32, 17, 39, NULL, mxfp4_to_float, NULL, mxfp4_part },
	[DTYPE_NVFP4] = { "NVFP4", 64, 36, 40, NULL, nvfp4_to_float, NULL, nvfp4_part },
	[DTYPE_NF4] = { "NF4", 64, 36, -1, NULL, nf4_to_float, NULL, nf4_part },
	[DTYPE_FP4] = { "FP4", 64, 36, -1, NULL, fp4_to_float, NULL, fp4_part },
	[DTYPE_NF4_DQ] = { "NF4_DQ", 64, 33, -1, NULL, nf4_dq_to_float, NULL, nf4_dq_part },
	[DTYPE_FP4_DQ] = { "FP4_DQ", 64, 33, -1, NULL, fp4_dq_to_float, NULL, fp4_dq_part },
	[DTYPE_F64] = { "F64", 1, 8, 28, "F64", f64_to_floats, NULL, f64_part },
	[DTYPE_F8_E4M3] = { "F8_E4M3", 1, 1, -1, "F8_E4M3", f8_e4m3_to_floats, NULL, f8_e4m3_part },
	[DTYPE_F8_E5M2] = { "F8_E5M2", 1, 1, -1, "F8_E5M2", f8_e5m2_to_floats, NULL, f8_e5m2_part },
	[DTYPE_I32] = { "I32", 1, 4, 26, "I32", NULL, NULL, NULL },
	[DTYPE_U8] = { "U8", 1, 1, -1, "U8", NULL, NULL, NULL },
};
