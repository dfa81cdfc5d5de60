/* scales: where each block type has its scales, see its file; halves and eighths in a formula go into d, which is a
 * float here, so that nothing is lost. */
#include "quant/scales.h"

#include "base/err.h"
#include "quant/bytes.h"
#include "quant/quant.h"

enum { RUN32 = 32 };

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

void scales_read(enum dtype t, const uint8_t *row, size_t j, struct run_scales *s)
{
	size_t block = dtypes[t].block, at = j * RUN32;
	const uint8_t *b = row + at / block * dtypes[t].bytes;

	if (block == 256 && t != DTYPE_TQ1_0 && t != DTYPE_TQ2_0) {
		scales_256(t, b, at % block / RUN32, s);
		return;
	}
	s->d = only_scale(t, b);
	s->scale[0] = s->scale[1] = 1;
}
