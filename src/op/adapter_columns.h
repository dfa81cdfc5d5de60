/* adapter_columns: which of many columns are those of a row's adapter. */
#ifndef OP_ADAPTER_COLUMNS_H
#define OP_ADAPTER_COLUMNS_H

#include "op/ops.h"

/* Columns first[a] … first[a + 1] − 1 are adapter a's. n 0: all first[0] are those of whatever adapter there is. */
struct adapter_columns {
	size_t n;
	uint32_t first[ADAPTERS_MOST + 1];
};

struct adapter_columns adapter_columns_make(const size_t *first, size_t n);
/* Those of row number `row` of the batch, *s the segment of a row before it or its own: becomes its own. None before
 * the place where the segment's adapter is invoked. */
void adapter_columns_of(const struct adapter_columns *c, const struct batch *b, int32_t row, const struct segment **s,
                        size_t *begin, size_t *end);

#endif
