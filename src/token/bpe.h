/* bpe: byte pair encoding, whatever the symbols are: of the neighbours in a word those with the lowest-ranked merge are
 * joined, leftmost first, until none is left (Sennrich et al. 2016). */
#ifndef TOKEN_BPE_H
#define TOKEN_BPE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/gguf.h"
#include "token/vocab.h"

struct merge { int32_t left, right; };
struct bpe_slot { int32_t left, right, result, rank; }; /* rank −1: empty */

struct bpe {
	const struct vocab *vocab;
	struct merge *merge;       /* [n_merges], by rank */
	size_t n_merges, cap;
	struct bpe_slot *slot;
	size_t n_slots;            /* a power of two */
	/* What a piece has in front that does not begin a word, and behind that ends one; "": nothing. The model's
	 * continuing_subword_prefix and end_of_word_suffix. */
	char prefix[32], suffix[32];
};

/* The vocabulary is complete; model: of a tokenizer.json, or NULL. What it may say of merging that is not done here
 * must not be said. */
int bpe_begin(struct bpe *b, const struct vocab *v, const json_t *model, struct err *e);
/* The next merge, by the texts of its parts; they and the joined text, without the second's prefix, must be pieces. */
int bpe_add_merge(struct bpe *b, const char *left, size_t n_left, const char *right, size_t n_right, struct err *e);
void bpe_release(struct bpe *b);

/* Merges as files have them: a tokenizer.json's list ("a b" or ["a", "b"]), merges.txt, tokenizer.ggml.merges. */
int bpe_read_json(struct bpe *b, const json_t *merges, struct err *e);
int bpe_read_text(struct bpe *b, const char *text, size_t n, struct err *e);
int bpe_read_gguf(struct bpe *b, const struct gguf *g, struct err *e);
/* Or a score for each piece, as SentencePiece has them: every two pieces whose joined text is a piece may be joined,
 * those first whose joined piece has the highest score. Such merges may share a rank.
 * Nothing is joined to a piece whose score is −INFINITY. */
void bpe_read_scores(struct bpe *b, const float *score);
/* token_model's save and hash of what merges: vocabulary and merges into tokenizer.json's model; merges as lines */
void bpe_save(const struct bpe *b, json_t *model);
void bpe_hash(const struct bpe *b, struct buf *out);

/* Whether a tokenizer.json of type BPE is one of bytes: it has a ByteLevel among its pre-tokenizers. */
bool bpe_is_bytes(const json_t *j);
/* Back into GGUF: merges as texts, of pieces below `rows`; or a score for each piece, by which bpe_read_scores makes
 * the same merges, where there are such. */
struct gguf_meta;
int bpe_put_merges(const struct bpe *b, struct gguf_meta *meta, size_t rows, struct err *e);
int bpe_put_scores(const struct bpe *b, struct gguf_meta *meta, size_t rows, struct err *e);

struct tokenizer;
/* The own of a tokenizer of bytes, from its vocabulary and merges.txt. */
int byte_bpe_read(struct tokenizer *t, const char *merges, size_t n, struct err *e);

struct bpe_scratch;                               /* one a thread */
struct bpe_scratch *bpe_scratch_new(void);
void bpe_scratch_free(struct bpe_scratch *s);
/* Room for a word of n symbols (at most 2^30), to be filled, in the order of the word. */
struct token_at *bpe_symbols(struct bpe_scratch *s, size_t n);
/* The tokens of the n symbols that are there, valid until the next call. */
const struct token_at *bpe_merge(const struct bpe *b, struct bpe_scratch *s, size_t n, size_t *n_tokens);

#endif
