/* read_tensor: a tensor's numbers as whoever uses a file reads them: every row made floats, whole and by a part from
 * its middle, which must be the same numbers. What the program does not compute with is read byte by byte. */
#ifndef FUZZ_READ_TENSOR_H
#define FUZZ_READ_TENSOR_H

#include <string.h>

#include "base/err.h"
#include "tensor/dtype.h"

enum { READ_PART = 256 /* a multiple of every block */ };

static inline void read_bytes(const void *data, size_t bytes)
{
	volatile uint8_t sum = 0;

	for (size_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
}

/* n numbers in a row, the caller's word that they have `bytes` bytes. */
static inline void read_tensor(enum dtype dtype, const void *data, size_t n, size_t bytes)
{
	float whole[READ_PART], part[READ_PART];
	const struct dtype_info *d = dtype < DTYPE_COUNT ? &dtypes[dtype] : NULL;

	if (d && n / d->block * d->bytes != bytes)
		BUG("%zu numbers of %s in %zu bytes", n, d->name, bytes);
	if (!d || !d->to_float) {
		read_bytes(data, bytes);
		return;
	}
	for (size_t at = 0, some; at < n; at += some) {
		some = n - at < READ_PART ? n - at : READ_PART;
		size_t from = some / 32 * 16; /* the middle, in sixteens */
		d->to_float((const char *)data + at / d->block * d->bytes, whole, some);
		d->part(data, at + from, part, some - from);
		if (memcmp(whole + from, part, (some - from) * sizeof(*part)))
			BUG("a part of %s has other numbers than the whole", d->name);
	}
}

#endif
