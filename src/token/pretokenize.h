/* pretokenize: text to words, by the steps of a tokenizer.json's `normalizer` and `pre_tokenizer`.
 *
 * A slice is text on its way: bytes, and for each the byte of the original that it came from, since steps change
 * text. */
#ifndef TOKEN_PRETOKENIZE_H
#define TOKEN_PRETOKENIZE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "token/pattern.h"

struct slice {
	const char *text;
	size_t n;
	uint32_t base;          /* byte i came from base + i … */
	const uint32_t *origin; /* … or from origin[i], where this is set */
	bool begins;            /* to a step of normalizing: the whole text begins here */
};

static inline uint32_t slice_origin(const struct slice *s, size_t at)
{
	return s->origin ? s->origin[at] : s->base + (uint32_t)at;
}

static inline struct slice slice_part(const struct slice *s, size_t begin, size_t end)
{
	return (struct slice){ s->text + begin, end - begin, s->base + (uint32_t)begin,
		               s->origin ? s->origin + begin : NULL };
}

/* Text that is written anew, with the origin of every byte. */
struct altered {
	struct buf text;
	uint32_t *origin;       /* [text.len] */
	size_t cap;
};
/* Appends n bytes that all came from one place. */
void altered_add(struct altered *a, const char *bytes, size_t n, uint32_t origin);
/* Appends bytes begin to end of `in` as they are, each from where it came. */
void altered_copy(struct altered *a, const struct slice *in, size_t begin, size_t end);
void altered_release(struct altered *a);

/* A step of normalizing that is none of Unicode's forms. */
struct normalizer_type {
	const char *type;       /* as a tokenizer.json names it; NULL ends a list */
	/* Reads the step's fields into what it needs, mem_free'd at the end; NULL where that is nothing. */
	int (*parse)(const json_t *j, void **own, struct err *e);
	int (*run)(const void *own, const struct slice *in, struct altered *out, struct err *e);
	void (*release)(void *own);  /* beside mem_free; NULL: nothing */
};

enum { NORMALIZERS_MAX = 32 };
struct normalizer {
	int n;
	struct normalizer_step {
		int form;       /* utf8proc's flags, where type is NULL */
		const struct normalizer_type *type;
		void *own;
	} step[NORMALIZERS_MAX];
};
extern const struct normalizer_type normalizer_table[]; /* normalizers.c */
/* null, NFC, NFD, NFKC, NFKD, those of the table, or a Sequence of them; anything else is refused by its type. */
int normalizer_parse(struct normalizer *z, const json_t *j, struct err *e);
void normalizer_release(struct normalizer *z);
/* *out is `in` itself, or lies in `a`. */
int normalizer_run(const struct normalizer *z, const struct slice *in, struct slice *out, struct altered *a,
                   struct err *e);

struct pretokenizer;
/* What becomes of the matches of a split. */
enum behavior { ISOLATED, REMOVED, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT, CONTIGUOUS };
/* null (a text is one word), one of tokenizers' pre-tokenizers, ByteLevel at most once, or a Sequence of them; anything
 * else is refused by its type. */
struct pretokenizer *pretokenizer_parse(const json_t *j, struct err *e);
bool pretokenizer_has_bytes(const struct pretokenizer *p); /* there was a ByteLevel */
void pretokenizer_free(struct pretokenizer *p);

struct words;     /* scratch and result, one a thread */
struct words *words_new(void);
void words_free(struct words *w);
/* Cuts a slice; the words are read by words_next, each a slice of bytes (no longer UTF-8 when a step worked on
 * bytes). */
int pretokenizer_run(const struct pretokenizer *p, const struct slice *in, struct words *w, struct err *e);
bool words_next(struct words *w, struct slice *word);

#endif
