/* prepare: a model's matrices put into the order that products like best, once, and the arithmetic they are multiplied
 * in.
 *
 * Graphs recorded afterwards use what is here; without it everything is computed in f32 from the file's rows, with the
 * same bits as f32 from panels. The file's pages are given back as they are copied: resident memory grows by nothing
 * but what is transposed for gradients. */
#ifndef MODEL_PREPARE_H
#define MODEL_PREPARE_H

#include "base/pool.h"
#include "kernel/kernels.h"
#include "model/model.h"

enum prepare_for {
	PREPARE_GENERATE, /* single rows: the head too */
	PREPARE_SCORE,    /* the matrices of the blocks; the head stays f32, from the file's rows */
	/* in int8 these and the head, and a copy of each transposed, quantized to Q8_0 along its outputs, for dx =
	 * dy·W */
	PREPARE_TRAIN,
};

/* "f32", "int8" or "auto", as --compute has it; auto is int8 where these kernels are fast in it. */
enum compute compute_from_name(const char *name, const struct kernels *k);
const char *compute_name(enum compute c);
/* May be called again for another purpose or arithmetic; what is there already stays. In f32 only PREPARE_GENERATE does
 * anything. A model without a matrix that int8 kernels can multiply is left in f32, and m->compute says so. */
int model_prepare(struct model *m, struct pool *p, enum compute c, enum prepare_for what, struct err *e);
/* Bytes it holds. */
size_t model_prepared_bytes(const struct model *m);
/* By how much PREPARE_GENERATE makes a model larger that it has not prepared yet: panels less the file's pages that are
 * given back for them. */
size_t model_prepare_growth(const struct model *m);

#endif
