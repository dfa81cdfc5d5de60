/* eighths: activations kept from forward to backward in 8 bits (ActNN, Chen et al. 2021, with blocks of a row for its
 * groups, and rounding to nearest): x ≈ d·q, 32 numbers of a row at a time, d their largest magnitude over 127. The
 * forward computes with x, so a loss is what it is without; gradients are those of what is read back. A plan puts both
 * nodes in (op/plan.h). */
#ifndef OP_EIGHTHS_H
#define OP_EIGHTHS_H

#include "op/tape.h"

enum { EIGHTHS_BLOCK = 32 };

/* in: x (N,F) f32; out: (N, bytes) U8. And back. */
extern const struct op op_to_eighths, op_from_eighths;
/* What x is kept as. */
struct tensor eighths_of(const struct tensor *x);

#endif
