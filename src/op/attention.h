/* attention: what its forward (op_attention.c) and backward (attention_back.c) have in common: products of small tiles
 * from packed panels, and the mask. */
#ifndef OP_ATTENTION_H
#define OP_ATTENTION_H

#include "kernel/kernels.h"
#include "op/batch.h"
#include "op/tape.h"

struct run;

enum { TILE = KERNEL_SCORES };

struct attention_attr {
	size_t H, G, D;
	float scale, cap;
	int32_t window;           /* 0: none */
	bool both_ways;
	bool add_q, add_k, add_v, add_sinks; /* backward: gradients that are added to what is there */
};

struct rows { enum dtype dtype; const char *data; size_t bytes; }; /* of a matrix; bytes from one to the next */

/* Appends the nodes of the gradient of node i. */
void attention_backward(struct tape *t, uint32_t i);

/* What part of a tile is not all zero: of rows (or, across, keys) i·mr … those numbers from[i] … to[i]−1. */
struct extent { uint8_t from[TILE], to[TILE]; };

/* C[m,TILE] = A[m,K]·B, B in panels of nr columns, [K][nr] each; of C only columns that an extent reaches. */
void product_scores(const struct kernels *k, size_t m, size_t K, const float *a, size_t a_row, const float *panels,
                    float *c, const struct extent *e);
/* C[m,D] += A[m,K]·B, over the K of an extent. */
void product_add(const struct kernels *k, size_t m, size_t D, size_t K, const float *a, size_t a_row, size_t a_col,
                 const float *panels, float *c, size_t ldc, const struct extent *e);

/* Panels of Wᵀ: B(d,j) = w[at + j][c + d], for n rows. */
void pack_across(const struct kernels *k, struct rows w, size_t at, size_t c, size_t n, size_t D, float *out);
/* Panels of W: B(j,d) = w[at + j][c + d]. */
void pack_along(const struct kernels *k, struct rows w, size_t at, size_t c, size_t n, size_t D, float *out);
size_t panel_size(const struct kernels *k, size_t D); /* floats that either makes at most */

enum tile_mask { MASK_NONE, MASK_SOME, MASK_ALL };
/* What rows i0..i1-1 see of keys j0..j1-1 (at most TILE of each); unless it is nothing, bit j of word[i] says whether
 * row i0+i sees key j0+j. */
enum tile_mask tile_mask(const struct attention_attr *a, const struct batch *b, size_t i0, size_t i1, size_t j0,
                         size_t j1, uint64_t word[TILE]);
/* What keys each mr rows see, together; what rows see any of each mr keys. */
void extent_of_rows(const struct kernels *k, const uint64_t *word, size_t rows, struct extent *e);
void extent_of_keys(const struct kernels *k, const uint64_t *word, size_t rows, size_t keys, struct extent *e);

#endif
