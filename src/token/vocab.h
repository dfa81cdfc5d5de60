/* vocab: the pieces of a tokenizer by id, and ids by piece, in the form that the files hold, which is valid UTF-8
 * whatever bytes a piece stands for; what that form means is the tokenizer's kind's to say (token/token_model.h). */
#ifndef TOKEN_VOCAB_H
#define TOKEN_VOCAB_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
	PIECE_MODEL = 1,   /* one of the model's vocabulary; without it an added token outside of it */
	PIECE_ADDED = 2,   /* its text is taken as it stands: it is split off before anything else */
	PIECE_SPECIAL = 4, /* and only when special tokens are asked for */
};

struct piece {
	const char *text; /* NULL: no such id */
	uint32_t n;
	uint32_t added;   /* place in the list of added tokens, where PIECE_ADDED says that it is there */
	uint8_t flags;
};

/* A token, and the byte of its word where it begins. */
struct token_at { int32_t id; uint32_t begin; };

struct vocab {
	struct arena mem;
	struct piece *piece; /* [n] */
	size_t n, cap;       /* ids are 0..n-1 */
	size_t count;        /* pieces that exist */
	uint32_t *slot;      /* id + 1, by hash of the text; not of empty ones */
	size_t n_slots;      /* a power of two */
};

/* The piece with this id; ids may come in any order. An id or a text that is taken, or ids much sparser than pieces, is
 * an error. */
int vocab_put(struct vocab *v, const char *text, size_t n, long long id, int flags, struct err *e);
int vocab_check_sparse(const struct vocab *v, struct err *e); /* once all are there */
int32_t vocab_find(const struct vocab *v, const char *text, size_t n);     /* among the model's pieces; −1 */
/* the same, of pieces in token/alphabet.h's characters */
int32_t vocab_find_bytes(const struct vocab *v, const char *bytes, size_t n);
int32_t vocab_find_any(const struct vocab *v, const char *text, size_t n); /* among all; −1 */
/* From a tokenizer.json's object of texts and ids: all of them, which is checked; and back, a new reference. */
int vocab_read(struct vocab *v, const json_t *texts, struct err *e);
json_t *vocab_json(const struct vocab *v);
json_t *piece_json(const struct piece *p);
void vocab_release(struct vocab *v);

#endif
