/* unigram_fit: pieces and their log-probabilities, fitted to words by SentencePiece's EM and pruned as it does
 * (unigram::Trainer), in its arithmetic and the order that it has with one thread. */
#ifndef TOKEN_UNIGRAM_FIT_H
#define TOKEN_UNIGRAM_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "token/sentences.h"

struct unigram_piece { const char *text; uint32_t n; float score; };

struct unigram_settings { size_t vocab_size; double shrinking_factor; int64_t sub_iterations; };

/* pieces: seeds, borrowed texts; in the end fewer of them, at most 1.1 · vocab_size or what cannot be pruned. */
int unigram_fit(struct unigram_piece *pieces, size_t *n, const struct sentences *s, const struct unigram_settings *how,
                const struct token_training *t, struct err *e);

#endif
