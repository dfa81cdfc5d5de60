/* grammar: which tokens may come next so that a text is one of a grammar's.
 *
 * A grammar is GBNF (llama.cpp's form); a regular expression and a JSON schema become GBNF first. It is compiled to a
 * network of rules over bytes: an automaton for each rule, whose edges are ranges of bytes, nothing, or a call of a
 * rule. What a text may go on with is a set of places (a node, the nodes to come back to). Sets are numbered as they
 * are met, what follows one at a byte is remembered, and so is the mask of the tokens that it allows, which one walk
 * over the vocabulary's trie gives. Requests of one grammar share all of it.
 *
 * Every place from which the text could not be ended is left out, so a text that the masks allowed can always be ended,
 * and one that ended is of the grammar. The end is allowed where the grammar may end, and nowhere else. A vocabulary
 * with a token for each byte (byte-level BPE, SentencePiece with bytes) always has a token that is allowed; of
 * another, there may be none.
 *
 * Limits: GRAMMAR_TEXT bytes of GBNF, GRAMMAR_NODES nodes, calls GRAMMAR_DEPTH deep (texts that nest deeper are not
 * made), GRAMMAR_WAYS places at once (further ones are not gone on with; a grammar that begins with more is refused),
 * and bounded memory for what is remembered, which is forgotten when it is full. Refused: rules that begin with
 * themselves (left recursion), rules that never end.
 *
 * Masks depend on grammar and text alone, never on what is remembered. Threads: a grammar may be used by many at
 * once. */
#ifndef GRAMMAR_GRAMMAR_H
#define GRAMMAR_GRAMMAR_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "token/tokenizer.h"

enum {
	GRAMMAR_TEXT = 4 << 20,
#ifdef KUNGFU_FUZZ /* smaller, so that a few bytes of a fuzzer's reach every limit */
	GRAMMAR_NODES = 1 << 13,
	GRAMMAR_DEPTH = 40,
	GRAMMAR_WAYS = 100,
#else
	GRAMMAR_NODES = 1 << 19,
	GRAMMAR_DEPTH = 1024,
	GRAMMAR_WAYS = 4096,
#endif
	GRAMMAR_REPEAT = 65536 /* the highest bound of {m,n} */
};

/* --- what becomes GBNF, whose rule `root` is the whole; −1 and a sentence --- */

/* The texts that match a regular expression from their first to their last character. Understood: characters, `.`,
 * classes, \d \w \s \D \W \S (of ASCII), \n \r \t \f \v \0 \xNN \uNNNN \u{N}, groups of any name, |, * + ? {m,n}, also
 * lazy, ^ and $ at the ends. Refused: lookaround, back references, \b, \p, flags, possessive ones, ^ and $ elsewhere.
 */
int grammar_of_regex(const char *text, size_t n, struct buf *gbnf, struct err *e);
/* JSON of a schema: see grammar/schema.h. */
int grammar_of_schema(const json_t *schema, struct buf *gbnf, struct err *e);
/* any JSON object */
void grammar_of_json(struct buf *gbnf);

/* --- the vocabulary --- */

struct grammar_vocabulary;
/* What each of V tokens adds to an answer's text, as infer/generate.h makes it. ends: tokens that end one. marks:
 * special tokens whose text stands in it (around calls of tools: call/form.h) are part of the text; others never are.
 * NULL: none is. */
struct grammar_vocabulary *grammar_vocabulary_new(const struct tokenizer *t, size_t V, const struct tokens *ends,
                                                  const char *marks);
/* The same of given texts: V of them; NULL: a token that is never allowed. For tests. */
struct grammar_vocabulary *grammar_vocabulary_of(const char *const *text, size_t V, const struct tokens *ends);
void grammar_vocabulary_free(struct grammar_vocabulary *v);
bool grammar_is_mark(const char *marks, const char *text);

/* --- a grammar --- */

struct grammar;
/* v is borrowed, NULL: of bytes alone. NULL and a sentence. */
struct grammar *grammar_new(const char *gbnf, size_t n, const struct grammar_vocabulary *v, struct err *e);
struct grammar *grammar_again(struct grammar *g); /* another holder */
void grammar_free(struct grammar *g);             /* the last holder frees it */
/* Whether the bytes are a text of it, and how many of them one could begin with (may be NULL). */
bool grammar_accepts(struct grammar *g, const char *text, size_t n, size_t *begins);

/* One text as it grows; the grammar must outlive it. */
struct grammar_match;
struct grammar_match *grammar_match_new(struct grammar *g);
void grammar_match_free(struct grammar_match *m);
/* [(V + 63) / 64] bits of the tokens that may come, the ends where it may end; *allowed: how many. Valid until the
 * match goes on or is freed. */
const uint64_t *grammar_match_mask(struct grammar_match *m, size_t *allowed);
/* Goes on by a token (no end). false: it is not allowed, and nothing changes. */
bool grammar_match_add(struct grammar_match *m, int32_t id);
bool grammar_match_may_end(const struct grammar_match *m);
bool grammar_match_is_over(struct grammar_match *m); /* it may end, and nothing else */

#endif
