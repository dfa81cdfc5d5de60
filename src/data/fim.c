/* fim: texts with their middle at the end. See fim.h.
 *
 * Of the four random words of a text (seed; step, document, where the text begins) the first says whether it is cut,
 * the second in which order it is put, the others where the cuts are. */
#include "data/fim.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

static const struct { const char *prefix, *suffix, *middle, *end; } known[] = {
	{ "<fim_prefix>", "<fim_suffix>", "<fim_middle>", NULL },       /* StarCoder */
	{ "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", NULL }, /* Qwen, CodeGemma */
	{ "<fim-prefix>", "<fim-suffix>", "<fim-middle>", NULL },       /* SantaCoder */
	{ "▁<PRE>", "▁<SUF>", "▁<MID>", "▁<EOT>" },                     /* Code Llama */
	{ "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", NULL }, /* DeepSeek */
};

enum { PREFIX, SUFFIX, MIDDLE, PARTS };

static int32_t find(const struct tokenizer *t, const char *text)
{
	return text ? tokenizer_find(t, text, strlen(text)) : -1;
}

int fim_marks(struct fim *f, const struct tokenizer *t, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		f->prefix = find(t, known[i].prefix);
		f->suffix = find(t, known[i].suffix);
		f->middle = find(t, known[i].middle);
		f->end = find(t, known[i].end);
		f->tokenizer = t;
		if (f->prefix >= 0 && f->suffix >= 0 && f->middle >= 0 && (!known[i].end || f->end >= 0))
			return 0;
	}
	return err_set(e, "the tokenizer has no tokens that mark prefix, suffix and middle, as <fim_prefix>, "
	                  "<fim_suffix> and <fim_middle> do");
}

static double unit(uint32_t word) { return word * 0x1p-32; }

/* Two of 0..n, the lower first. */
static void draw_cuts(const uint32_t word[4], size_t n, size_t at[2])
{
	size_t a = (size_t)(unit(word[2]) * (double)(n + 1)), b = (size_t)(unit(word[3]) * (double)(n + 1));

	at[0] = MIN(a, b);
	at[1] = MAX(a, b);
}

/* --- cuts --- */

static void cut_tokens(const int32_t *text, int32_t n, const uint32_t word[4], struct tokens part[PARTS])
{
	size_t at[2];

	draw_cuts(word, (size_t)n, at);
	for (size_t i = 0; i < PARTS; i++)
		part[i].n = 0;
	for (size_t i = 0; i < (size_t)n; i++)
		tokens_add(&part[i < at[0] ? PREFIX : i < at[1] ? MIDDLE : SUFFIX], text[i]);
}

/* Tokens of a part by itself; false: they are not what stands there. */
static bool encode(const struct tokenizer *t, const char *text, size_t n, struct tokens *out)
{
	struct err ignored = ERR_INIT; /* a text that is none is cut between tokens */
	struct buf back = BUF_INIT;
	bool same = tokenizer_encode(t, text, n, 0, out, &ignored) == 0;

	for (size_t i = 0; i < out->n; i++)
		tokenizer_piece(t, out->id[i], &back);
	same = same && back.len == n && (!n || !memcmp(back.data, text, n));
	buf_release(&back);
	return same;
}

/* Where character number k begins. */
static size_t character(const struct buf *text, size_t k)
{
	size_t at = 0;
	uint32_t c;

	while (k--)
		at += utf8_decode(text->data + at, text->len - at, &c);
	return at;
}

static bool cut_characters(const struct tokenizer *t, const int32_t *ids, int32_t n, const uint32_t word[4],
                           struct tokens part[PARTS])
{
	struct buf text = BUF_INIT;
	size_t at[2];

	for (int32_t i = 0; i < n; i++)
		tokenizer_piece(t, ids[i], &text);
	bool cut = text.len && utf8_valid(text.data, text.len, NULL);
	if (cut) {
		draw_cuts(word, utf8_count(text.data, text.len), at);
		at[0] = character(&text, at[0]);
		at[1] = character(&text, at[1]);
		cut = encode(t, text.data, at[0], &part[PREFIX]) &&
		      encode(t, text.data + at[0], at[1] - at[0], &part[MIDDLE]) &&
		      encode(t, text.data + at[1], text.len - at[1], &part[SUFFIX]) &&
		      part[PREFIX].n + part[MIDDLE].n + part[SUFFIX].n >= (size_t)n;
	}
	buf_release(&text);
	return cut;
}

/* --- order --- */

static int32_t *put(int32_t *to, int32_t mark, const struct tokens *part)
{
	if (mark >= 0)
		*to++ = mark;
	if (part && part->n)
		memcpy(to, part->id, part->n * sizeof(*to));
	return to + (part ? part->n : 0);
}

/* The parts into n tokens; false: they do not fit. */
static bool join(const struct fim *f, bool spm, struct tokens part[PARTS], int32_t n, int32_t *out)
{
	size_t others = PARTS + (f->end >= 0) + part[PREFIX].n + part[MIDDLE].n;

	if (others >= (size_t)n)
		return false;
	part[SUFFIX].n = (size_t)n - others;
	if (spm) {
		out = put(out, f->prefix, NULL);
		out = put(out, f->suffix, &part[SUFFIX]);
		out = put(out, f->middle, &part[PREFIX]);
		out = put(out, -1, &part[MIDDLE]);
	} else {
		out = put(out, f->prefix, &part[PREFIX]);
		out = put(out, f->suffix, &part[SUFFIX]);
		out = put(out, f->middle, &part[MIDDLE]);
	}
	put(out, f->end, NULL);
	return true;
}

static void rearrange(const struct fim *f, const uint32_t word[4], const int32_t *text, int32_t n, int32_t *out)
{
	struct tokens part[PARTS] = { 0 };

	if (!cut_characters(f->tokenizer, text, n, word, part))
		cut_tokens(text, n, word, part);
	join(f, unit(word[1]) < f->spm_rate, part, n, out);
	for (int i = 0; i < PARTS; i++)
		tokens_release(&part[i]);
}

/* --- documents --- */

static bool is_text(const struct fim *f, const struct document *d, int32_t i)
{
	return !tokenizer_is_special(f->tokenizer, d->ids[i]);
}

/* All of it, but for a text's first token, which nothing stands before. */
static bool learnt_whole(const struct fim *f, const struct document *d)
{
	for (int32_t i = 1; i < d->n; i++)
		if (!d->learn[i] && is_text(f, d, i) && is_text(f, d, i - 1))
			return false;
	return true;
}

void fim_apply(const struct fim *f, uint64_t step, uint32_t place, const struct document *in, int32_t *ids)
{
	int32_t end;

	memcpy(ids, in->ids, (size_t)in->n * sizeof(*ids));
	for (int32_t i = learnt_whole(f, in) ? 0 : in->n; i < in->n; i = end) {
		uint32_t word[4];
		for (end = i; end < in->n && is_text(f, in, end); end++)
			;
		rng_words((struct rng_key){ f->seed, RNG_FIM }, step, place, (uint32_t)i, word);
		if (end > i && unit(word[0]) < f->rate)
			rearrange(f, word, in->ids + i, end - i, ids + i);
		end += end == i;
	}
}
