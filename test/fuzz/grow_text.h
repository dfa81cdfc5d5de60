/* grow_text: what a grammar's masks promise, tried for any grammar: over a vocabulary of every byte and some longer
 * tokens a text grows by what is allowed, each step chosen by a byte of the input; it is always the beginning of a text
 * of the grammar, one token at least may follow or it may end, and one that ended is accepted. */
#ifndef FUZZ_GROW_TEXT_H
#define FUZZ_GROW_TEXT_H

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "grammar/grammar.h"

enum { GROWN = 24 /* tokens */, TOKENS = 1 + 255 + 8 };

static const char *const grow_longer[] = { "{\"", "\":", ", ", "true", "null", "12", "\\u00", "]}" };

static struct grammar_vocabulary *grow_vocabulary(void)
{
	static struct grammar_vocabulary *v;
	static char byte[256][2];
	const char *text[TOKENS] = { NULL };
	struct tokens ends = { 0 };

	if (v)
		return v;
	for (int i = 1; i < 256; i++) {
		byte[i][0] = (char)i;
		text[i] = byte[i];
	}
	for (int i = 0; i < 8; i++)
		text[256 + i] = grow_longer[i];
	tokens_add(&ends, 0);
	v = grammar_vocabulary_of(text, TOKENS, &ends);
	tokens_release(&ends);
	return v;
}

/* The choice-th of the tokens that are allowed. */
static int32_t grow_pick(const uint64_t *mask, size_t choice)
{
	int32_t id = 0;

	for (; !(mask[id / 64] >> (id & 63) & 1) || choice--;)
		id++;
	return id;
}

/* true: the text is whole, in out. */
static bool grow_text(struct grammar *g, const uint8_t *data, size_t n, struct buf *out)
{
	struct grammar_match *m = grammar_match_new(g);
	bool over = false;

	for (size_t step = 0; step < GROWN && !over; step++) {
		size_t allowed, begins = 0;
		const uint64_t *mask = grammar_match_mask(m, &allowed);
		if (grammar_match_may_end(m) != (mask[0] & 1))
			BUG("an end is allowed where it is none, or none where it is one");
		if (!allowed)
			break;
		int32_t id = grow_pick(mask, (n ? data[step % n] : 0) % allowed);
		over = !id;
		if (over)
			break;
		if (!grammar_match_add(m, id))
			BUG("token %d is in the mask and may not follow", id);
		if (id < 256)
			buf_addc(out, (char)id);
		else
			buf_adds(out, grow_longer[id - 256]);
		bool whole = grammar_accepts(g, buf_str(out), out->len, &begins);
		if (begins != out->len || whole != grammar_match_may_end(m))
			BUG("%zu of %zu bytes begin a text, whole %d", begins, out->len, whole);
		over = grammar_match_is_over(m);
	}
	grammar_match_free(m);
	return over;
}

/* The grammar of n bytes of GBNF, and what grows by it; false: it is refused by a sentence. */
static bool grow_gbnf(const char *gbnf, size_t n, const uint8_t *data, size_t n_data, struct buf *out, bool *over)
{
	struct err e = ERR_INIT;
	struct grammar *g = grammar_new(gbnf, n, grow_vocabulary(), &e);

	if (!g && !*e.msg)
		BUG("refused without a sentence");
	if (g)
		*over = grow_text(g, data, n_data, out);
	grammar_free(g);
	return g;
}

#endif
