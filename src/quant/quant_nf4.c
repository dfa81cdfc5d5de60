/* NF4 and FP4, see nf4.h. A row begins with a head, and a block's 64 numbers lie in nibbles as Q4_0 has them, 32 and
 * 32.
 *
 *     NF4, FP4          head: one byte that names the rounding, three of nothing
 *                       block, 36 bytes: f32 s, [2][16] bytes
 *     NF4_DQ, FP4_DQ    head: the rounding, a byte of nothing, u16 the number of the first block of the second s',
 *                       f32 offset, f32 s' [2]
 *                       block, 33 bytes: s₈, [2][16] bytes
 *
 * So a row is read alone. bitsandbytes' FP4 has a −0 that its kernels keep. */
#include "quant/nf4.h"

#include <string.h>

#include "quant/bytes.h"
#include "quant/quant.h"

enum { SCALE_BYTES = 4, HALF = NF4_BLOCK / 2, NIBBLES = HALF / 2, SECOND_AT = 2, OFFSET_AT = 4, NESTED_AT = 8 };

const float nf4_values[16] = {
	-1, -0.6961928009986877F, -0.5250730514526367F, -0.39491748809814453F, -0.28444138169288635F,
	-0.18477343022823334F, -0.09105003625154495F, 0, 0.07958029955625534F, 0.16093020141124725F,
	0.24611230194568634F, 0.33791524171829224F, 0.44070982933044434F, 0.5626170039176941F, 0.7229568362236023F, 1,
};
const float fp4_map_values[16] = {
	0, 0.005208333333F, 0.66666667F, 1, 0.33333333F, 0.5F, 0.16666667F, 0.25F,
	-0.0F, -0.005208333333F, -0.66666667F, -1, -0.33333333F, -0.5F, -0.16666667F, -0.25F,
};

const float nf4_dynamic_values[129] = {
	0, 5.50000038e-07F, 3.25000019e-06F, 7.7499999e-06F, 2.12499981e-05F, 4.37499984e-05F, 6.62500024e-05F,
	8.87499991e-05F, 0.000156250011F, 0.000268750038F, 0.000381250022F, 0.000493750034F, 0.000606250076F,
	0.00071875006F, 0.000831249985F, 0.000943750085F, 0.00128124992F, 0.00184375001F, 0.00240624999F,
	0.00296874996F, 0.00353124971F, 0.00409374991F, 0.00465624966F, 0.00521875033F, 0.00578125007F,
	0.00634374982F, 0.00690625003F, 0.00746874977F, 0.00803124998F, 0.00859375019F, 0.00915624946F,
	0.00971874967F, 0.0114062503F, 0.0142187504F, 0.0170312505F, 0.0198437516F, 0.0226562507F, 0.0254687499F,
	0.028281251F, 0.0310937501F, 0.0339062512F, 0.0367187522F, 0.0395312496F, 0.0423437469F, 0.0451562516F,
	0.047968749F, 0.05078125F, 0.053593751F, 0.0564062484F, 0.0592187531F, 0.0620312504F, 0.0648437515F,
	0.0676562563F, 0.0704687461F, 0.0732812509F, 0.0760937482F, 0.078906253F, 0.0817187577F, 0.0845312476F,
	0.0873437524F, 0.0901562497F, 0.0929687545F, 0.0957812592F, 0.0985937491F, 0.107031256F, 0.12109375F,
	0.135156244F, 0.149218753F, 0.163281247F, 0.177343756F, 0.19140625F, 0.205468744F, 0.219531253F,
	0.233593747F, 0.247656241F, 0.26171875F, 0.275781274F, 0.289843738F, 0.303906262F, 0.317968726F,
	0.33203125F, 0.346093744F, 0.360156238F, 0.374218762F, 0.388281226F, 0.40234375F, 0.416406244F,
	0.430468738F, 0.444531262F, 0.458593726F, 0.47265625F, 0.486718714F, 0.500781238F, 0.514843702F,
	0.528906226F, 0.54296875F, 0.557031274F, 0.571093798F, 0.585156262F, 0.599218726F, 0.61328125F,
	0.627343774F, 0.641406298F, 0.655468762F, 0.669531226F, 0.68359375F, 0.697656274F, 0.711718798F,
	0.725781262F, 0.739843726F, 0.75390625F, 0.767968774F, 0.782031238F, 0.796093762F, 0.810156226F,
	0.82421875F, 0.838281274F, 0.852343738F, 0.866406262F, 0.880468726F, 0.89453125F, 0.908593774F,
	0.922656238F, 0.936718762F, 0.950781226F, 0.96484375F, 0.978906274F, 0.992968738F, 1,
};

static const uint8_t *block_at(enum dtype t, const uint8_t *row, size_t b)
{
	return row + dtype_head(t) + b * dtypes[t].bytes;
}

static float rounded(enum nf4_rounding how, float x)
{
	return how == NF4_F16  ? f16_to_float(f16_from_float(x)) :
	       how == NF4_BF16 ? bf16_to_float(bf16_from_float(x)) :
	                         x;
}

static void read_part(enum dtype t, const uint8_t *row, size_t j0, float *y, size_t n)
{
	enum nf4_rounding how = nf4_rounding(row);
	const float *map = nf4_map(t);

	for (size_t j = j0; j < j0 + n; j += QUANT_RUN, y += QUANT_RUN) {
		size_t at = j % NF4_BLOCK, high = at % HALF / QUANT_RUN;
		const uint8_t *q = block_at(t, row, j / NF4_BLOCK) + (nf4_is_nested(t) ? 1 : SCALE_BYTES) +
		                   at / HALF * NIBBLES;
		float s = nf4_scale(t, row, j / NF4_BLOCK);
		for (int i = 0; i < QUANT_RUN; i++)
			y[i] = rounded(how, map[q[i] >> (high ? 4 : 0) & 15] * s);
	}
}

#define SLOTS(name, type) \
	void name##_part(const void *row, size_t j0, float *dst, size_t n) { read_part(type, row, j0, dst, n); } \
	void name##_to_float(const void *src, float *dst, size_t n) { read_part(type, src, 0, dst, n); }

SLOTS(nf4, DTYPE_NF4)
SLOTS(fp4, DTYPE_FP4)
SLOTS(nf4_dq, DTYPE_NF4_DQ)
SLOTS(fp4_dq, DTYPE_FP4_DQ)

/* --- writing --- */

bool nf4_fits(enum dtype t, size_t cols)
{
	return cols > 0 && cols % NF4_BLOCK == 0 && (!nf4_is_nested(t) || cols <= (size_t)NF4_BLOCK * NF4_NESTED);
}

static unsigned code_at(const uint8_t *q, size_t i) { return q[i / 2] >> (i % 2 ? 0 : 4) & 15; }

static void put_codes(const struct nf4_matrix *m, size_t first, uint8_t *out)
{
	for (size_t half = 0; half < 2; half++)
		for (size_t i = 0; i < NIBBLES; i++) {
			size_t at = first + half * HALF + i;
			out[half * NIBBLES + i] = (uint8_t)(code_at(m->q, at) | code_at(m->q, at + NIBBLES) << 4);
		}
}

/* first: the number of the row's first block */
static void put_head(const struct nf4_matrix *m, size_t first, size_t blocks, uint8_t *out)
{
	size_t group = first / NF4_NESTED, second = (group + 1) * NF4_NESTED - first;
	bool two = second < blocks;
	float nested[2] = { m->nested[group], m->nested[two ? group + 1 : group] };

	out[SECOND_AT] = (uint8_t)second;
	out[SECOND_AT + 1] = (uint8_t)(second >> 8);
	memcpy(out + OFFSET_AT, &m->offset, sizeof(m->offset));
	memcpy(out + NESTED_AT, nested, sizeof(nested));
}

void nf4_put_row(enum dtype t, const struct nf4_matrix *m, size_t row, uint8_t *out)
{
	size_t blocks = m->cols / NF4_BLOCK, first = row * blocks;

	memset(out, 0, dtype_head(t));
	out[0] = (uint8_t)m->rounding;
	if (nf4_is_nested(t))
		put_head(m, first, blocks, out);
	out += dtype_head(t);
	for (size_t b = 0; b < blocks; b++, out += dtypes[t].bytes) {
		size_t at = (first + b) * NF4_BLOCK;
		if (nf4_is_nested(t))
			out[0] = m->code[first + b];
		else
			memcpy(out, &m->scale[at / m->block], sizeof(float));
		put_codes(m, at, out + (nf4_is_nested(t) ? 1 : SCALE_BYTES));
	}
}
