/* regex_parts: what regex_parse.c, regex_build.c and regex.c share. */
#ifndef GUARD_REGEX_PARTS_H
#define GUARD_REGEX_PARTS_H

#include "base/arena.h"
#include "guard/regex.h"

struct bytes { uint64_t bit[4]; };               /* a set of bytes */

static inline bool bytes_has(const struct bytes *b, uint8_t c) { return b->bit[c >> 6] >> (c & 63) & 1; }
static inline bool bytes_same(const struct bytes *a, const struct bytes *b)
{
	return !((a->bit[0] ^ b->bit[0]) | (a->bit[1] ^ b->bit[1]) | (a->bit[2] ^ b->bit[2]) | (a->bit[3] ^ b->bit[3]));
}
/* The first from c on, 256: there is none. */
static inline int bytes_next(const struct bytes *b, int c)
{
	for (; c < 256; c = (c | 63) + 1) {
		uint64_t left = b->bit[c >> 6] >> (c & 63);
		if (left)
			return c + __builtin_ctzll(left);
	}
	return 256;
}
static inline void bytes_put(struct bytes *b, uint8_t c) { b->bit[c >> 6] |= (uint64_t)1 << (c & 63); }

/* A character that \b has for part of a word. */
static inline bool is_word_byte(int c)
{
	return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '_';
}

enum tree_kind { TREE_EMPTY, TREE_BYTE, TREE_CAT, TREE_OR, TREE_REPEAT, TREE_ASSERT };
enum assert_kind { ASSERT_LINE_BEGIN, ASSERT_LINE_END, ASSERT_WORD_EDGE, ASSERT_NO_WORD_EDGE };

struct tree {
	enum tree_kind kind;
	struct bytes bytes;                      /* of a byte */
	const struct tree *a, *b;                /* a: also of a repeat */
	int least, most;                         /* of a repeat; most −1: any */
	enum assert_kind assert;
};

/* The tree of an expression, in mem; NULL and a sentence. */
const struct tree *regex_parse(struct arena *mem, const char *pattern, struct err *e);
bool regex_nullable(const struct tree *t);       /* an empty text is a match */

enum step_kind { STEP_BYTE, STEP_SPLIT, STEP_ASSERT, STEP_MATCH };

/* Small, for a move looks at many of them wherever they are. */
struct step {
	uint8_t kind;                            /* enum step_kind */
	bool rung;                               /* it is in copies that may be left out */
	uint16_t next, other;                    /* other: of a split; the set, the assertion */
	uint16_t rung_of;                        /* itself, or this step in the first of copies that may go */
};

struct program {                                 /* of an expression, in one direction */
	struct step *step;
	size_t n, cap;
	struct bytes *set;
	size_t n_sets, cap_sets;
	uint32_t begin;
	bool backward;
	uint8_t class_of[256];                   /* bytes that no step tells apart; n_classes is the text's end */
	uint8_t example[256];
	int n_classes;
};

enum { PROGRAM_STEPS = 20000 };

/* p: empty but for its direction. */
int program_make(struct program *p, const struct tree *t, struct err *e);
void program_release(struct program *p);

#endif
