/* bytes: little-endian fields of a block, at any alignment. */
#ifndef QUANT_BYTES_H
#define QUANT_BYTES_H

#include <stdint.h>

#include "tensor/dtype.h"

static inline float read_f16(const uint8_t *p)
{
	return f16_to_float((uint16_t)(p[0] | p[1] << 8));
}

static inline void write_f16(uint8_t *p, float x)
{
	uint16_t h = f16_from_float(x);
	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
}

static inline uint32_t read_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#endif
