/* scales: where each block type has its scales, see its file; halves and eighths in a formula go into d, which is a
 * float here, so that nothing is lost. */
#include "quant/scales.h"

#include "base/err.h"
#include "base/mem.h"
#include "quant/bytes.h"
#include "quant/quant.h"

enum { RUN32 = 32, RUNS_OF_256 = 8 };

static unsigned read_u16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

/* Where a block of one scale has it. */
static float only_scale(enum dtype t, const uint8_t *b)
{
	switch (t) {
	case DTYPE_TQ1_0: return read_f16(b + 52);
	case DTYPE_TQ2_0: return read_f16(b + 64);
	case DTYPE_MXFP4: return mxfp4_half_scale(b[0]);
	default: return read_f16(b);
	}
}

static void odd(struct run_scales *s, float d, unsigned first, unsigned second)
{
	s->d = d;
	s->scale[0] = (int)(2 * first + 1);
	s->scale[1] = (int)(2 * second + 1);
}

/* Of blocks of 256: j counts runs of 32 in the block. */
static void scales_256(enum dtype t, const uint8_t *b, size_t j, struct run_scales *s)
{
	unsigned x;

	switch (t) {
	case DTYPE_Q3_K:
		s->d = read_f16(b + 108);
		s->scale[0] = q3_k_scale(b + 96, (int)(2 * j));
		s->scale[1] = q3_k_scale(b + 96, (int)(2 * j + 1));
		break;
	case DTYPE_IQ4_XS:
		s->d = read_f16(b);
		s->scale[0] = s->scale[1] = iq4_xs_scale(b, (int)j);
		break;
	case DTYPE_IQ3_S:
		x = b[106 + j / 2] >> j % 2 * 4 & 15;
		odd(s, read_f16(b), x, x);
		break;
	case DTYPE_IQ3_XXS:
		x = read_u32(b + 66 + 4 * j) >> 28;
		odd(s, read_f16(b) * 0.25f, x, x);
		break;
	case DTYPE_IQ2_XXS:
		x = read_u32(b + 6 + 8 * j) >> 28;
		odd(s, read_f16(b) * 0.125f, x, x);
		break;
	case DTYPE_IQ2_XS: odd(s, read_f16(b) * 0.125f, b[66 + j] & 15, b[66 + j] >> 4); break;
	case DTYPE_IQ2_S: odd(s, read_f16(b) * 0.125f, b[74 + j] & 15, b[74 + j] >> 4); break;
	case DTYPE_IQ1_S:
		x = read_u16(b + 34 + 2 * j) >> 12 & 7;
		odd(s, read_f16(b) * 0.125f, x, x);
		break;
	case DTYPE_IQ1_M:
		x = read_u16(b + 48 + j / 2 * 2) >> j % 2 * 6;
		odd(s, iq1_m_d(b) * 0.125f, x & 7, x >> 3 & 7);
		break;
	default: BUG("no scales of %s", dtypes[t].name);
	}
}

/* The half scale of numbers 16i …, in units of 2⁻¹¹. */
static unsigned nvfp4_scale(const uint8_t *row, size_t i)
{
	return (unsigned)(nvfp4_half_scale(row[i / 4 * dtypes[DTYPE_NVFP4].bytes + i % 4]) * 0x1p11f);
}

/* d is the largest power of two that all scales of the 256 numbers are multiples of. What makes no byte then gives
 * up to three twos to its numbers, which are at most 12: scales are a number below 16 times a power of two. */
static void nvfp4_scales(const uint8_t *row, size_t j, size_t cols, struct run_scales *s)
{
	size_t first = j / RUNS_OF_256 * RUNS_OF_256 * 2, end = MIN(first + 2 * RUNS_OF_256, cols / QUANT_RUN);
	unsigned all = 0;

	for (size_t i = first; i < end; i++)
		all |= nvfp4_scale(row, i);
	unsigned unit = all ? all & -all : 1;
	s->d = (float)unit * 0x1p-11f;
	for (size_t half = 0; half < 2; half++) {
		s->scale[half] = (int)(nvfp4_scale(row, 2 * j + half) / unit);
		for (int twos = 0; twos < 3 && s->scale[half] > 127; twos++)
			s->scale[half] /= 2;
	}
}

void scales_read(enum dtype t, const uint8_t *row, size_t j, size_t cols, struct run_scales *s)
{
	size_t block = dtypes[t].block, at = j * RUN32;
	const uint8_t *b = row + at / block * dtypes[t].bytes;

	if (t == DTYPE_NVFP4) {
		nvfp4_scales(row, j, cols, s);
		return;
	}
	if (block == 256 && t != DTYPE_TQ1_0 && t != DTYPE_TQ2_0) {
		scales_256(t, b, at % block / RUN32, s);
		return;
	}
	s->d = only_scale(t, b);
	s->scale[0] = s->scale[1] = 1;
}
