/* fused: Hugging Face's tensors that hold all experts of a layer, or the rows of several weights, for files that have
 * them so (transformers since 5 keeps experts fused; gpt-oss's files always are):
 *
 *     experts.gate_up_proj   [E][2F][C], gate's rows then up's; gpt-oss [E][C][2F], columns in turn
 *     …_blocks, …_scales     the same rows in MXFP4: [E][2F][C/32][16] bytes, number 2j in the low half of byte j,
 *                            and [E][2F][C/32] exponents
 *     …_bias                 [E][2F]
 *
 * Here each expert's matrix is a weight of its own, [out][in]; a row of the table says where it is (weight_fused). What
 * lies together is used where it lies, the rest is copied, MXFP4 into GGUF's blocks. */
#ifndef MODEL_FUSED_H
#define MODEL_FUSED_H

#include "format/safetensors.h"
#include "model/model.h"

/* Fills w from such a tensor. 1: there is none; −1: it is not what it should be. */
int fused_take(struct model *m, struct weight *w, struct err *e);
bool fused_is_named(const struct model *m, const struct weight_spec *s, const char *name);

/* Is weight i written as a part of such a tensor, and then: is it the first of it? */
bool fused_is_written(const struct model *m, size_t i, bool *first);
enum { FUSED_PARTS_MOST = 4 };
size_t fused_parts_most(const struct model *m); /* weights of a table that are one tensor */
/* The number of the first weight of each part of the tensor that weight i is in. */
void fused_parts(const struct model *m, size_t i, int at[FUSED_PARTS_MOST]);
/* In such a tensor, with as many rows of each part: which row is row `row` of the weight. */
size_t fused_row(const struct weight_fused *f, size_t row, size_t rows);
/* The tensor that weight i is the first of; its name is in mem. */
void fused_describe(struct arena *mem, struct st_tensor *t, const struct model *m, size_t i, enum dtype dtype);
/* Its numbers in their order, a piece at a time: get(ctx, weight, scratch) gives weights as f32, [out][in]; scratch
 * holds fused_parts_most of the largest. */
int fused_each(const struct model *m, size_t i, const float *(*get)(void *ctx, int i, float *scratch), void *ctx,
               float *scratch, int (*put)(void *to, const float *x, size_t n, struct err *e), void *to, struct err *e);

#endif
