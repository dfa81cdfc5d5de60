/* grids: the points that IQ1, IQ2 and IQ3 choose among: 8 numbers of three values (IQ1, IQ2) or 4 numbers of eight
 * values (IQ3). A point is one word: the place of number i among the values, at bits 2i or 3i. The values stand in the
 * formats' files. */
#ifndef QUANT_GRIDS_H
#define QUANT_GRIDS_H

#include <stdint.h>

extern const uint16_t grid_iq1[2048], grid_iq2_xxs[256], grid_iq2_xs[512], grid_iq2_s[1024], grid_iq3_xxs[256],
	grid_iq3_s[512];

/* Which of 8 numbers are negative, of seven bits: the eighth makes their count even. */
static inline unsigned grid_signs(unsigned seven)
{
	return seven | (unsigned)__builtin_parity(seven) << 7;
}

#endif
