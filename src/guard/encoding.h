/* encoding: a way to write a text so that it does not read as one, a row of a table (encoding_x.c, found by its name):
 * how it is found in a text and undone, and how it is done, for tests and for suites that try it.
 *
 * A finder walks over a text once, puts the bytes that a stretch of it stands for, and offers them. Kept is an offer
 * for which there is evidence: the bits that its bytes cost if they were any bytes (or what the source costs as a
 * language), less what they cost as a text (language.h), less `prior`, what a coincidence is worth, which is ten bits
 * less where the text speaks of decoding. Confidence is 1 − 2^(−1 − evidence/4). */
#ifndef GUARD_ENCODING_H
#define GUARD_ENCODING_H

#include "guard/language.h"
#include "guard/mapped.h"

struct finder;

struct encoding {
	const char *name;
	double prior;         /* bits */
	const char *signs;    /* it is looked for in texts that have one of these bytes; NULL: in all */
	bool raw;             /* finds in the text before invisible characters go; in the original alone */
	bool once;            /* doing it twice gives the text back, so it is not looked for in what it gave */
	void (*find)(struct finder *f);
	/* Appends the text so written; NULL: it is only read. s: UTF-8; what the form has no sign for is left out. */
	void (*encode)(struct buf *out, const char *s, size_t n);
};
extern const struct encoding *const encoding_table[]; /* generated, NULL-terminated */
const struct encoding *encoding_find(const char *name); /* NULL: there is none */

/* The words of a text: of letters (and apostrophes), with the digits and signs that may stand for letters, or whatever
 * stands between blanks, which has no cost. */
enum { WORDS_LETTERS, WORDS_DIGITS, WORDS_BLANKS, WORDS };
struct word {
	uint32_t begin, end;
	int cost;                    /* as it stands (language_word); 0 where it is plain */
	bool plain;                  /* of words with digits: it has letters alone */
};
struct words {
	struct word *of;             /* [n] */
	size_t n, cap;
	bool made;
};

void words_add(struct words *w, struct word word);

struct finder {
	const struct encoding *by;
	double prior;                /* by->prior, less where the text around speaks of encodings */
	const char *s;               /* the text, n bytes */
	size_t n;
	const struct mapped *text;
	struct mapped put;           /* what is being put */
	struct words *words;         /* [WORDS] made by who wants them first */
	/* An offer that is kept; hidden: what it gives reads as a language, and nobody needed to write it so. */
	void (*keep)(void *ctx, struct finder *f, size_t begin, size_t end, double confidence, bool hidden);
	bool (*room)(void *ctx, size_t bytes);  /* false: no more may be looked at; counts the bytes */
	void *ctx;
};

/* Bytes that [begin, end) of the text stand for. */
void finder_put(struct finder *f, const char *bytes, size_t n, size_t begin, size_t end);
/* What was put since the last offer stands for [begin, end). cost: bits of these bytes where nobody encoded a text. */
bool finder_offer(struct finder *f, size_t begin, size_t end, double cost);
/* The same of forms that have an innocent use (percent, entities): kept whatever it is; hidden where `idle` letters or
 * digits were written so that need not be, at least four, and it reads as a language. */
bool finder_offer_escaped(struct finder *f, size_t begin, size_t end, size_t idle);
/* The same for text that hides in characters which nobody sees: hidden where it is text. */
bool finder_offer_unseen(struct finder *f, size_t begin, size_t end);
void finder_drop(struct finder *f);           /* what was put is nothing */

/* Whether a byte is a letter or digit of ASCII, white space between words. */
bool encoding_alnum(char c);
/* The first place from i on where there is no ASCII, or the text's end. */
static inline size_t encoding_past_ascii(const struct finder *f, size_t i)
{
	while (i < f->n && (f->s[i] & 0x80) == 0)
		i++;
	return i;
}
static inline bool encoding_blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

#endif
