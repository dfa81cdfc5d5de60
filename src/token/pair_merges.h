/* pair_merges: the merges of byte pair encoding from counted words, those that tokenizers 0.23 finds (its BpeTrainer,
 * on which its WordPieceTrainer stands). */
#ifndef TOKEN_PAIR_MERGES_H
#define TOKEN_PAIR_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "token/bpe.h"
#include "token/vocab.h"
#include "token/word_counts.h"

struct pair_settings {
	size_t vocab_size;
	bool bytes;                   /* a word's symbols are its bytes, in token/alphabet.h's characters */
	uint64_t min_frequency;
	size_t limit_alphabet;        /* characters at most, the most frequent ones; 0: all */
	size_t max_token_length;      /* characters, as tokenizers counts them: joined ones have fewer; 0: any */
	const uint32_t *initial;      /* characters that are in, whatever the texts have */
	size_t n_initial;
	const char *prefix, *suffix;  /* of what does not begin a word, of what ends one; "": nothing */
	const char *const *special;   /* the first pieces */
	size_t n_special;
	/* As SentencePiece has it, where `joins` is set: the alphabet is `initial`, in its order, and any other
	 * character is its last; at equal counts the pair of fewer characters comes first, then the one whose text is
	 * lower in bytes; a text that is a piece is not made again; what joins says no to never is. */
	bool (*joins)(const void *ctx, const struct piece *left, const struct piece *right);
	const void *joins_ctx;
};

struct pair_merges {
	struct vocab vocab;           /* ids in the order in which the pieces were made */
	struct merge *merge;          /* by rank */
	size_t n_merges, cap;
};

/* t: pool, progress and memory. Refused: an alphabet with special tokens that is larger than vocab_size (tokenizers
 * would go beyond the size in silence), more than 2^32 distinct words, more memory than t allows. */
int pair_merges_train(struct pair_merges *out, const struct word_counts *w, const struct pair_settings *s,
                      const struct token_training *t, struct err *e);
void pair_merges_release(struct pair_merges *m);

#endif
