/* word_counts: how often each word stands in texts, however many texts there are.
 *
 * Texts are normalized and cut by a tokenizer.json's normalizer and pre_tokenizer, as they will be when they are
 * encoded. Words are bytes. Counts have 64 bits.
 *
 * While counting, at most `memory` bytes are held: each thread has a table; when all together reach the bound, each is
 * written as a sorted part into a file, and begins anew. In the end parts are joined. What comes out is sorted by bytes
 * and does not depend on threads, parts or the order of the texts. */
#ifndef TOKEN_WORD_COUNTS_H
#define TOKEN_WORD_COUNTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "token/train.h"

struct word_counts {
	size_t n;
	char *text;              /* all words, one behind the other, in the order of their bytes */
	uint64_t *begin;         /* [n + 1] */
	uint64_t *count;         /* [n] */
};
void word_counts_release(struct word_counts *w);
static inline size_t word_counts_bytes(const struct word_counts *w, size_t i)
{
	return (size_t)(w->begin[i + 1] - w->begin[i]);
}

struct word_counter;
/* normalizer, pre_tokenizer: of a tokenizer.json, or NULL. memory, scratch, pool and progress are t's, which is
 * borrowed. */
struct word_counter *word_counter_new(const struct token_training *t, const json_t *normalizer,
                                      const json_t *pre_tokenizer, struct err *e);
/* Says that texts may be cut at their spaces before they are normalized, each part a text of its own, where behind the
 * last space stands an ASCII letter or mark: so each distinct part is normalized once. Before the first text. */
void word_counter_by_spaces(struct word_counter *c);
/* All texts. whole: each is cut as it stands, else lines are texts of their own, with their ends, as files are to
 * tokenizers. A text of more than a megabyte is cut before a line that begins with no white space, behind one that
 * ends with none: there every expression of words that is known ends a word. */
int word_counter_read(struct word_counter *c, struct token_texts *texts, bool whole, struct token_train_report *r,
                      struct err *e);
/* A word with its count. */
int word_counter_add(struct word_counter *c, const char *word, size_t n, uint64_t count, struct err *e);
/* Frees c; refused when the result is larger than `most` bytes. */
int word_counter_end(struct word_counter *c, struct word_counts *out, uint64_t *spilled, struct err *e);
void word_counter_free(struct word_counter *c);

#endif
