/* codes: where the bits of a number lie in a block. A block's integers are one or two fields: low bits, and high ones
 * that lie elsewhere; see quant_x.c of each type for its layout. */
#include "quant/codes.h"

#include <string.h>

#include "base/err.h"

/* Bits of the number i: `low` of them at a byte and shift, the rest at another. */
struct place { int low, byte, shift, high, high_byte, high_shift; };

int codes_of(enum dtype t)
{
	switch (t) {
	case DTYPE_Q2_K:
		return 4;
	case DTYPE_Q3_K:
		return 8;
	case DTYPE_Q4_0: case DTYPE_Q4_1: case DTYPE_IQ4_NL: case DTYPE_MXFP4: case DTYPE_Q4_K: case DTYPE_IQ4_XS:
		return 16;
	case DTYPE_Q5_0: case DTYPE_Q5_1: case DTYPE_Q5_K:
		return 32;
	case DTYPE_Q6_K:
		return 64;
	default:
		return 0;
	}
}

/* Two halves of 16 in the low and high nibbles of 16 bytes. */
static struct place nibble(int at, int i)
{
	return (struct place){ .low = 4, .byte = at + i / 32 * 16 + i % 16, .shift = i % 32 / 16 * 4 };
}

static struct place nibble_and_bit(int bits_at, int at, int i)
{
	struct place p = nibble(at, i);

	p.high = 1;
	p.high_byte = bits_at + i / 8;
	p.high_shift = i % 8;
	return p;
}

/* Pairs of bits: a half of 128 numbers in 32 bytes. */
static struct place pair(int at, int i)
{
	return (struct place){ .low = 2, .byte = at + i / 128 * 32 + i % 32, .shift = i % 128 / 32 * 2 };
}

static struct place place_q3_k(int i)
{
	struct place p = pair(32, i);

	p.high = 1;
	p.high_byte = i % 32;
	p.high_shift = i / 32;
	return p;
}

/* Q4_K's and Q5_K's: 64 numbers in the low and then the high nibbles of 32 bytes. */
static struct place place_k(int at, int i)
{
	return (struct place){ .low = 4, .byte = at + i / 64 * 32 + i % 32, .shift = i / 32 % 2 * 4,
		               .high = at == 48, .high_byte = 16 + i % 32, .high_shift = i / 32 };
}

static struct place place_q6_k(int i)
{
	struct place high = pair(128, i);

	return (struct place){ .low = 4, .byte = i / 128 * 64 + i % 64, .shift = i % 128 / 64 * 4,
		               .high = 2, .high_byte = high.byte, .high_shift = high.shift };
}

static struct place place_of(enum dtype t, int i)
{
	switch (t) {
	case DTYPE_Q2_K:
		return pair(16, i);
	case DTYPE_Q3_K:
		return place_q3_k(i);
	case DTYPE_Q4_0: case DTYPE_IQ4_NL:
		return nibble(2, i);
	case DTYPE_Q4_1:
		return nibble(4, i);
	case DTYPE_MXFP4:
		return nibble(1, i);
	case DTYPE_IQ4_XS:
		return nibble(8, i);
	case DTYPE_Q5_0:
		return nibble_and_bit(2, 6, i);
	case DTYPE_Q5_1:
		return nibble_and_bit(4, 8, i);
	case DTYPE_Q4_K:
		return place_k(16, i);
	case DTYPE_Q5_K:
		return place_k(48, i);
	case DTYPE_Q6_K:
		return place_q6_k(i);
	default:
		BUG("integers of %s are not put one by one", dtypes[t].name);
	}
}

static void put_bits(uint8_t *byte, int shift, int bits, int value)
{
	int mask = ((1 << bits) - 1) << shift;

	*byte = (uint8_t)((*byte & ~mask) | (value << shift & mask));
}

void codes_put(enum dtype t, uint8_t *block, int i, int code)
{
	struct place p = place_of(t, i);

	put_bits(block + p.byte, p.shift, p.low, code);
	if (p.high)
		put_bits(block + p.high_byte, p.high_shift, p.high, code >> p.low);
}

void codes_begin(struct codes *c, enum dtype t)
{
	*c = (struct codes){ .type = t, .n = codes_of(t) };
	for (int code = 0; code < c->n; code++)
		for (int i = 0; i < (int)dtypes[t].block; i++)
			codes_put(t, c->all[code], i, code);
	memcpy(c->mask, c->all[c->n - 1], sizeof(c->mask)); /* the largest has every bit set */
}

void codes_levels(const struct codes *c, const uint8_t *block, float level[CODES_MOST][CODES_NUMBERS])
{
	uint8_t same[CODES_BYTES];

	for (int code = 0; code < c->n; code++) {
		for (size_t i = 0; i < dtypes[c->type].bytes; i++)
			same[i] = (uint8_t)((block[i] & ~c->mask[i]) | c->all[code][i]);
		dtypes[c->type].to_float(same, level[code], dtypes[c->type].block);
	}
}
