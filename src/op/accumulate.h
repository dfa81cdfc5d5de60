/* accumulate: gradient += gradient, or a copy. The one op that the tape itself needs. */
#ifndef OP_ACCUMULATE_H
#define OP_ACCUMULATE_H

#include "op/tape.h"

void accumulate_emit(struct tape *t, uint32_t dst, uint32_t src, bool accumulate);


#endif
