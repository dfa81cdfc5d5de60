/* codes: the numbers of a block one by one: the integer that stands for each is put by itself, its scales left as they
 * are. What integers stand for is asked of the format's own decoder.
 *
 * For Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4, Q2_K to Q6_K and IQ4_XS, whose integers stand apart. Pure functions. */
#ifndef QUANT_CODES_H
#define QUANT_CODES_H

#include "tensor/dtype.h"

enum { CODES_MOST = 64, CODES_NUMBERS = 256, CODES_BYTES = 256 };

struct codes {
	enum dtype type;
	int n;                                   /* integers, from 0, that a number may have */
	uint8_t mask[CODES_BYTES];               /* the bits of a block that are integers */
	uint8_t all[CODES_MOST][CODES_BYTES];    /* those bits where all numbers have one integer */
};

/* How many integers a number of the type may have; 0: they cannot be put one by one. */
int codes_of(enum dtype t);
void codes_begin(struct codes *c, enum dtype t);
void codes_put(enum dtype t, uint8_t *block, int i, int code);
/* What each integer of each number of this block stands for: level[code][i]. */
void codes_levels(const struct codes *c, const uint8_t *block, float level[CODES_MOST][CODES_NUMBERS]);

#endif
