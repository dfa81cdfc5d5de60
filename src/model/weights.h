/* weights: an architecture's table of weights, filled from a file; what a weight is called, here and in files, and how
 * the numbers that are kept differ from those that Hugging Face's files have.
 *
 * A rotation's pair are numbers i and i + D/2 of a head in Hugging Face's files and neighbours in GGUF's, for the
 * architectures whose table says so (WEIGHT_ROPE). Rows are kept as the model's file has them, which is what
 * attention's rotation is told (config.rope_interleaved). So are the rows of one matrix of q, k and v, head by head in
 * Hugging Face's files and one after the other in GGUF's (WEIGHT_QKV, config.qkv_apart). Everything that is read from
 * or written to another form goes through weight_convert or, where only rows are alike, weight_permute_rows. */
#ifndef MODEL_WEIGHTS_H
#define MODEL_WEIGHTS_H

#include "model/model.h"

/* Lists and fills m->weights by m->config.arch's table; m->source is open and m->config read. Every tensor of the file
 * must have a place, and every weight that is not optional its tensor. A model that says it is tied and whose file has
 * a head that differs from its embedding is untied (as transformers does since 5). */
int weights_load(struct model *m, struct err *e);
/* The list alone, of a model from nothing: its table's, of WEIGHT_PARTS those of m->init. */
int weights_list(struct model *m, struct err *e);
void weights_release(struct model *m);
void weight_release(struct weight *w);           /* the memory of its own */

/* --- names --- */

const struct weight_spec *weight_spec(const struct arch *a, const char *hf); /* NULL: the table has no such row */
/* The pattern's first word with its "%d"s filled in, in mem. */
char *weight_name(struct arena *mem, const char *pattern, int layer, int expert);
/* The weight's name in GGUF, NULL: it has none there; an expert's is that of all of them. */
const char *weight_gguf_name(struct arena *mem, const struct weight *w);
/* The module that a weight belongs to, as PEFT names it: the name without its last part, in mem;
 * "…c_attn.bias" has the same as "…c_attn.weight". */
const char *weight_module(struct arena *mem, const char *name);

/* Dimensions of a row's shape; their number, 0 where one of them is 0: there is no such weight. */
int weight_dims(const struct config *c, const struct weight_spec *s, size_t dim[3]);
/* Matrices of a row that each are a weight; 0: the row is one weight a layer. */
int64_t weight_experts(const struct config *c, const struct weight_spec *s);

/* --- numbers --- */

size_t weight_numbers(const struct weight *w);
size_t weight_numbers_most(const struct model *m);    /* of a weight */
/* Weight i; n_weights, as overlays count: a tied model's head. */
const struct weight *weight_or_head(const struct model *m, int i);
/* Whether it is an embedding, whose rows are looked up; a tied model's head, n_weights, is none. */
bool weight_is_embedding(const struct model *m, int i);
/* Weight i's numbers, in place, from those that are kept to Hugging Face's, or back; and whether that changes any. */
void weight_convert(const struct model *m, int i, float *w, bool to_hf);
bool weight_is_converted(const struct model *m, int i);
/* Whether rows of weight i lie in another order here than in Hugging Face's files. Not those of a weight that the model
 * has not: −1, or n_weights for a tied model's head. */
bool weight_is_permuted(const struct model *m, int i);
/* Hugging Face's row of row `row` of weight i. */
size_t weight_hf_row(const struct model *m, int i, size_t row);
/* How GGUF's rows lie otherwise than Hugging Face's. */
struct row_order {
	enum { ROWS_ALIKE, ROWS_ROTATED, ROWS_QKV } kind;
	size_t D, H;          /* rows of a head; heads */
};
/* Weight i's (none of −1 and n_weights), whichever kind of file the model came from. */
struct row_order weight_row_order(const struct model *m, int i);
/* Of a folder: its rows in memory become those of the GGUF that it would be, so that what is computed has that file's
 * bits; before anything lies over the model. The matrices that lie otherwise are copies then. */
int weights_as_gguf(struct model *m, struct err *e);
/* rows × cols in place: from GGUF's order toward Hugging Face's, or back. */
void weight_permute_rows(float *w, size_t rows, size_t cols, struct row_order o, bool to_hf);

/* x, weight w's numbers in Hugging Face's order, becomes what GGUF's files of c's architecture hold; s is w's row of
 * that architecture's table. */
void weight_to_gguf(const struct config *c, const struct weight_spec *s, const struct weight *w, float *x);

#endif
