/* tokenizer: text to ids and back, exactly as the model's own tokenizer does it.
 *
 * Added and special tokens are split off, what is left is normalized and cut into words (a sequence of PCRE2 splits),
 * and each word is tokens by the tokenizer's kind, which is a row of a table (token/token_model.h). Built from
 * tokenizer.json (Hugging Face) or from GGUF metadata. Thread-safe for reading once built. */
#ifndef TOKEN_TOKENIZER_H
#define TOKEN_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "format/gguf.h"

struct tokenizer;

struct tokens {           /* a growing list of ids; zero-initialize */
	int32_t *id;
	size_t n, cap;
};
void tokens_add(struct tokens *t, int32_t id);
void tokens_release(struct tokens *t);

struct tokenizer *tokenizer_from_gguf(const struct gguf *g, struct err *e);
/* tokenizer.json as parsed; config: tokenizer_config.json or NULL */
struct tokenizer *tokenizer_from_json(const json_t *j, const json_t *config, const char *where, struct err *e);
/* The above from a folder; where it has no tokenizer.json, the older files of a kind, as vocab.json and merges.txt. */
struct tokenizer *tokenizer_from_dir(const char *dir, struct err *e);
/* Whatever it is: a folder, a GGUF, or one file of a tokenizer alone. */
struct tokenizer *tokenizer_open(const char *path, struct err *e);
void tokenizer_free(struct tokenizer *t);
/* Another one with n special tokens more, behind all that t has. Refused: one that t has. */
struct tokenizer *tokenizer_extended(const struct tokenizer *t, const char *const *texts, size_t n, const char *where,
                                     struct err *e);

/* Its model's embedding has so many rows; of more tokens than that a tokenizer is another model's. Tokens that only the
 * configuration names may lie beyond: a text that has one is refused, and a model that would end or begin with one. */
int tokenizer_bound(struct tokenizer *t, size_t rows, const char *where, struct err *e);
size_t tokenizer_size(const struct tokenizer *t);                 /* ids are 0..size-1 */
int32_t tokenizer_bos(const struct tokenizer *t);                 /* −1: none */
int32_t tokenizer_eos(const struct tokenizer *t);                 /* −1: none */
int32_t tokenizer_pad(const struct tokenizer *t);                 /* −1: none */
int32_t tokenizer_mask(const struct tokenizer *t);                /* what hides a token of a text; −1: none */
/* What is put in front of every text, the beginning of sequence as a rule; −1: nothing. A tokenizer.json's
 * post_processor says it; add_bos_token only where there is none. */
int32_t tokenizer_front(const struct tokenizer *t);
/* All of what is put in front of a text, and behind it, as a model's inference code does; transformers' and llama.cpp's
 * add_special_tokens. What trains or scores a text puts nothing behind it. Valid while t is. */
struct around { const int32_t *front, *back; size_t n_front, n_back; };
struct around tokenizer_around(const struct tokenizer *t);
/* What is put in front of the first of two texts, between them, and behind the second. typed: the second and what is
 * behind it have type 1 (token_type_ids), and what is between them too where `early`. */
enum { PAIR_TOKENS = 8 };
struct pair_around { int32_t ids[3][PAIR_TOKENS]; size_t n[3]; bool typed, early; };
void tokenizer_pair(const struct tokenizer *t, struct pair_around *out);
void tokenizer_begin(const struct tokenizer *t, struct tokens *ids); /* appends those in front */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
/* the id whose text is exactly this (special tokens by their text), −1 */
int32_t tokenizer_find(const struct tokenizer *t, const char *piece, size_t n);
#define TEMPLATE_FOLDER "additional_chat_templates" /* of NAME.jinja, in a model's folder */
const char *tokenizer_template(const struct tokenizer *t);        /* the chat template's source, NULL: none */
const char *tokenizer_tool_template(const struct tokenizer *t);   /* that named tool_use, NULL: none */

enum {
	TOKENIZE_SPECIAL = 1
}; /* flags: recognize special tokens in the text (chat templates); without it their text is plain text.
      Added tokens that are not special are always recognized. */
/* Appends; no BOS is added here. text must be valid UTF-8, else a sentence with the byte offset. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, int flags, struct tokens *out,
                     struct err *e);
/* Also the byte offset in text where each token begins (for masks by character spans); offsets may be NULL. */
int tokenizer_encode_offsets(const struct tokenizer *t, const char *text, size_t n, int flags, struct tokens *out,
                             struct tokens *offsets, struct err *e);
/* Also where each ends: behind the last character that it is made of. A character in several tokens, each of which has
 * some of its bytes, belongs to each whole where the text was normalized or the tokens are bytes of SentencePiece's. */
int tokenizer_encode_spans(const struct tokenizer *t, const char *text, size_t n, int flags, struct tokens *out,
                           struct tokens *begins, struct tokens *ends, struct err *e);
/* A token as the vocabulary writes it ("Ġthe", "▁the", "##s"), NULL for an id that is none. */
const char *tokenizer_text(const struct tokenizer *t, int32_t id);
/* The raw bytes of one token inside a text (special tokens: their text). May be an incomplete UTF-8 sequence. */
void tokenizer_piece(const struct tokenizer *t, int32_t id, struct buf *out);
/* What one token adds to a text that grows; first: it begins it, and may lose the space before it. */
void tokenizer_decode_next(const struct tokenizer *t, int32_t id, bool skip_special, bool first, struct buf *out);
/* Where words are, by ids alone. Of WordPiece a token begins one unless it has the mark of what goes on in a word; of
 * other kinds one that begins with white space does, and what follows one that ends with some, unless that is all it
 * is: spaces before a word are part of it. */
enum { WORD_BEGINS = 1, WORD_ENDS = 2, WORD_SPECIAL = 4 /* a special token, of no word */ };
int tokenizer_word(const struct tokenizer *t, int32_t id);
/* Bytes of several; special tokens are left out when skip_special. */
void tokenizer_decode(const struct tokenizer *t, const int32_t *id, size_t n, bool skip_special, struct buf *out);

/* Writes tokenizer.json, tokenizer_config.json (template, special tokens, add_bos_token) and
 * special_tokens_map.json so that transformers loads the same tokenizer; from GGUF too. */
int tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e);
/* a canonical text of vocabulary, what belongs to the kind, and rules, to be hashed; mem_free */
char *tokenizer_hash_text(const struct tokenizer *t);

#endif
