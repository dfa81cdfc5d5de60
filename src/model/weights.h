/* weights: what a weight is called, here and in files, and in which order its rows lie.
 *
 * A rotation's pair are numbers i and i + D/2 of a head in Hugging Face's files and neighbours in GGUF's, for the
 * architectures whose table says so (WEIGHT_ROPE). Rows are kept as the model's file has them, which is what
 * attention's rotation is told (config.rope_interleaved); everything that is read from or written to another form goes
 * through weight_permute_rows. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/model.h"

/* The name that a table's row stands for in a layer, in mem; a pattern without %d as it is. */
char *weight_name(struct arena *mem, const char *pattern, int layer);
/* The weight's name in GGUF, NULL: it has none there. */
const char *weight_gguf_name(struct arena *mem, const struct weight *w);
/* The module that a weight belongs to, as PEFT names it: the name without its last part, in mem;
 * "…c_attn.bias" has the same as "…c_attn.weight". */
const char *weight_module(struct arena *mem, const char *name);

/* Whether rows of weight i lie in another order here than in Hugging Face's files. Not those of a weight that the model
 * has not: −1, or n_weights for a tied model's head. */
bool weight_is_permuted(const struct model *m, int i);
/* Hugging Face's row of row `row` of weight i. */
size_t weight_hf_row(const struct model *m, int i, size_t row);
/* rows × cols, heads of D rows, in place: from the permuted order toward Hugging Face's, or back. */
void weight_permute_rows(float *w, size_t rows, size_t cols, size_t D, bool to_hf);

#endif
