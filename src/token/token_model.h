/* token_model: a kind of tokenizer: what comes after the text was cut into words. One file model_x.c a row of the
 * table.
 *
 * All kinds share what surrounds it: added tokens, which are split off first; the normalizer and the pre-tokenizer of a
 * tokenizer.json; tokenizer_config.json; the reading of GGUF's tokens and ids of special ones. A row says by what it is
 * known in files, how it is read from each, how it turns a word into tokens and a token into bytes, and how it is
 * written. */
#ifndef TOKEN_TOKEN_MODEL_H
#define TOKEN_TOKEN_MODEL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/gguf.h"
#include "token/decoder.h"
#include "token/pretokenize.h"
#include "token/vocab.h"

struct tokenizer;
struct gguf_meta;

struct token_model {
	const char *name;                 /* "byte-level BPE", for sentences */
	const char *type;                 /* model.type of a tokenizer.json: "BPE" */
	const char *gguf;                 /* tokenizer.ggml.model: "gpt2"; NULL: GGUF has none of this kind */
	bool only_normal;                 /* of a GGUF's scores only normal tokens' count; others get −INFINITY */
	bool bytes;                       /* words are bytes: the pre-tokenizer holds a ByteLevel */
	size_t own_size;                  /* of the row's own struct, zero at first: tokenizer_own */

	/* Whether a tokenizer.json, with this model in it, is of this kind; older files have no type. */
	bool (*is)(const json_t *j, const json_t *model, const char *type);
	/* From tokenizer.json's model: the vocabulary and the row's own. */
	int (*load)(struct tokenizer *t, const json_t *model, struct err *e);
	/* A token as a GGUF has it, in the form of the vocabulary; control: it is a control token. NULL: as it is. */
	int (*gguf_text)(const char *text, size_t n, bool control, struct buf *out);
	/* And back, as GGUF's list of tokens has it; control as there. */
	void (*put_text)(const struct piece *p, bool control, struct buf *out);
	/* GGUF's files say by this key what stands behind every text, and bos in front of it; NULL: by add_bos_token
	 * and add_eos_token whether bos and eos do. Such a row puts the unknown token's id itself. */
	const char *gguf_behind;
	/* The row's own from a score for each piece of the vocabulary, which is there; NULL: it has no use for one. */
	int (*load_scores)(struct tokenizer *t, const float *score, struct err *e);
	/* The row's own from GGUF where that is more than tokenizer.ggml.scores; the vocabulary is there. */
	int (*load_gguf)(struct tokenizer *t, const struct gguf *g, struct err *e);
	/* What a tokenizer.json would say beside (normalizer, pre_tokenizer, post_processor where no token is put in
	 * front, decoder, model without its vocabulary), new reference; *add_bos: where the file does not say. */
	json_t *(*gguf_rules)(const struct gguf *g, bool *add_bos, struct err *e);
	/* Takes the model out of the rules, NULL: nothing; what would change ids and is not done is refused by name. */
	int (*rules)(struct tokenizer *t, const json_t *rules, struct err *e);
	void (*release)(struct tokenizer *t);

	void *(*scratch_new)(void);       /* one a thread */
	void (*scratch_free)(void *scratch);
	/* The tokens of a word (at most 2^30 bytes), valid until the next call. */
	const struct token_at *(*encode)(const struct tokenizer *t, void *scratch, const char *word, size_t n,
	                                 size_t *n_tokens);
	/* The id whose bytes inside a text are exactly these, −1. */
	int32_t (*find)(const struct tokenizer *t, const char *bytes, size_t n);
	/* Whether a token of the vocabulary, by its text there, begins a word; NULL: one that begins with white space
	 * does. */
	bool (*begins_word)(const struct tokenizer *t, const char *text, size_t n);
	/* Puts vocabulary and the row's own into tokenizer.json's model. */
	void (*save)(const struct tokenizer *t, json_t *model);
	/* The row's own as GGUF's metadata, for a model of `rows` tokens; NULL: GGUF has no word for this kind. */
	int (*put_gguf)(const struct tokenizer *t, struct gguf_meta *meta, size_t rows, struct err *e);
	/* The row's own as lines of text, for tokenizer_hash_text. */
	void (*hash)(const struct tokenizer *t, struct buf *out);
};

extern const struct token_model *const token_model_table[]; /* generated, NULL-terminated */

/* --- for rows --- */

struct vocab *tokenizer_vocab(const struct tokenizer *t);
void *tokenizer_own(const struct tokenizer *t);
const struct decoder *tokenizer_decoder(const struct tokenizer *t); /* once rules are read */
const json_t *tokenizer_rules(const struct tokenizer *t);   /* a tokenizer.json's, without its vocabulary */

#endif
