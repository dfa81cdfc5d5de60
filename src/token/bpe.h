/* bpe: byte pair encoding. A word's bytes become one symbol each; the neighbours with the lowest-ranked merge are
 * joined, leftmost first, until none is left (Sennrich et al. 2016, with GPT-2's bytes). */
#ifndef TOKEN_BPE_H
#define TOKEN_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "token/vocab.h"

struct merge { int32_t left, right; };
struct bpe_slot { int32_t left, right, result, rank; }; /* rank −1: empty */

struct bpe {
	const struct vocab *vocab;
	struct merge *merge;       /* [n_merges], by rank */
	size_t n_merges, cap;
	struct bpe_slot *slot;
	size_t n_slots;            /* a power of two */
	int32_t byte_id[256];      /* −1: the vocabulary lacks that byte */
	int32_t unknown;           /* what stands for such a byte; −1: it is left out */
	bool fuse_unknown;         /* several in a row become one */
	bool ignore_merges;        /* a word that is a piece is that piece, whatever its merges */
};

void bpe_begin(struct bpe *b, const struct vocab *v); /* the vocabulary is complete */
/* The next merge, by the texts of its parts; they and the joined text must be pieces. */
int bpe_add_merge(struct bpe *b, const char *left, size_t n_left, const char *right, size_t n_right, struct err *e);
void bpe_release(struct bpe *b);

struct bpe_token { int32_t id; uint32_t begin; }; /* begin: byte of the word */
struct bpe_scratch;                               /* one a thread */
struct bpe_scratch *bpe_scratch_new(void);
void bpe_scratch_free(struct bpe_scratch *s);
/* The tokens of a word (at most 2^30 bytes), valid until the next call. */
const struct bpe_token *bpe_encode(const struct bpe *b, struct bpe_scratch *s, const char *word, size_t n,
                                   size_t *n_tokens);

#endif
