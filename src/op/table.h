/* table: every op, generated from src/op/op_*.c, NULL-terminated. A file op_x.c exports its row as op_row_x. */
#ifndef OP_TABLE_H
#define OP_TABLE_H

#include "op/tape.h"

extern const struct op *const op_table[];

#endif
