/* masking: which tokens are hidden, and behind what. See masking.h.
 *
 * Tokens by themselves are chosen by going through the document once: each with the number still wanted over the number
 * still there, so that the number is exact and every choice as likely (Knuth, The Art of Computer Programming 3.4.2,
 * algorithm S). Words are taken in an order drawn as it is gone through (Fisher and Yates).
 *
 * Counters of the random numbers are seed, step and document, and the token's place i; the k-th word that is taken has
 * n + k. */
#include "data/masking.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* A document at work. */
struct hiding {
	const struct masking *m;
	uint64_t step;
	uint32_t place;
	const struct document *in;
	int32_t *ids;
	uint8_t *learn;
	int32_t left;                 /* tokens that are still to be hidden */
};

int32_t masking_count(double share, int32_t n)
{
	return n ? (int32_t)MIN(fmax(round(share * n), 1), n) : 0;
}

uint8_t *masking_words(const struct tokenizer *t)
{
	size_t n = tokenizer_size(t);
	uint8_t *words = mem_alloc(n);

	for (size_t id = 0; id < n; id++)
		words[id] = (uint8_t)tokenizer_word(t, (int32_t)id);
	return words;
}

/* [0, 1) of a word */
static double unit(uint32_t word) { return word * 0x1p-32; }

static void draw(const struct hiding *h, int32_t counter, uint32_t word[4])
{
	rng_words((struct rng_key){ h->m->seed, RNG_MASK }, h->step, h->place, (uint32_t)counter, word);
}

/* x of [0, 1) decides whether token i becomes the mask, any token (of `any`, so too) or stays. */
static void hide(struct hiding *h, int32_t i, double x, double any)
{
	const struct masking *m = h->m;

	h->learn[i] = 1;
	h->left--;
	if (x < m->mask_replace)
		h->ids[i] = m->mask;
	else if (x < m->mask_replace + m->random_replace)
		h->ids[i] = (int32_t)(any * m->vocabulary);
}

static void hide_tokens(struct hiding *h)
{
	const struct document *in = h->in;
	int32_t there = 0;

	for (int32_t i = 0; i < in->n; i++)
		there += !tokenizer_is_special(h->m->tokenizer, in->ids[i]);
	for (int32_t i = 0; i < in->n && h->left; i++) {
		uint32_t word[4];
		if (tokenizer_is_special(h->m->tokenizer, in->ids[i]))
			continue;
		draw(h, i, word);
		if (unit(word[0]) * there-- < h->left)
			hide(h, i, unit(word[1]), unit(word[2]));
	}
}

/* --- words --- */

static int kind(const struct hiding *h, int32_t i) { return h->m->words[h->in->ids[i]]; }

static bool begins_word(const struct hiding *h, int32_t i)
{
	return !(kind(h, i) & WORD_SPECIAL) &&
	       (!i || kind(h, i) & WORD_BEGINS || kind(h, i - 1) & (WORD_ENDS | WORD_SPECIAL));
}

static int32_t word_end(const struct hiding *h, int32_t i)
{
	do
		i++;
	while (i < h->in->n && !begins_word(h, i) && !(kind(h, i) & WORD_SPECIAL));
	return i;
}

int32_t masking_span_length(double p, int32_t most, double u)
{
	double all = 0, sum = 1, power = 1;
	int32_t l = 1;

	for (int32_t i = 0; i < most; i++, power *= 1 - p)
		all += power;
	for (power = 1 - p; l < most && u * all >= sum; l++, power *= 1 - p)
		sum += power;
	return l;
}

/* The words that begin at token i, as many as are wanted and as there is room for. fate: of each token as of all. */
static void hide_words(struct hiding *h, int32_t i, int32_t words, const double *fate)
{
	uint32_t word[4];

	while (words-- > 0 && i < h->in->n && begins_word(h, i)) {
		int32_t end = word_end(h, i);
		bool hidden = h->learn[i];
		if (!hidden && end - i > h->left)
			return;
		for (; i < end && !hidden; i++) {
			draw(h, i, word);
			hide(h, i, fate ? *fate : unit(word[1]), unit(word[2]));
		}
		i = end;
	}
}

/* first: room for where each word begins */
static void hide_whole(struct hiding *h, int32_t *first)
{
	const struct masking *m = h->m;
	int32_t n = 0;

	for (int32_t i = 0; i < h->in->n; i++)
		if (begins_word(h, i))
			first[n++] = i;
	for (int32_t k = 0; k < n && h->left; k++) {
		uint32_t word[4];
		draw(h, h->in->n + k, word);
		int32_t other = k + (int32_t)(unit(word[0]) * (n - k)), at = first[other];
		double fate = unit(word[2]);
		first[other] = first[k];
		if (h->learn[at])
			continue;
		if (m->span_p > 0)
			hide_words(h, at, masking_span_length(m->span_p, m->span_max, unit(word[1])), &fate);
		else
			hide_words(h, at, 1, NULL);
	}
}

void masking_apply(const struct masking *m, uint64_t step, uint32_t place, const struct document *in,
                   struct document *out, int32_t *ids, uint8_t *learn, int32_t *predicted, int32_t *work)
{
	struct hiding h = { m, step, place, in, ids, learn, in->n_learn };

	*out = *in;
	memcpy(ids, in->ids, (size_t)in->n * sizeof(*ids));
	memcpy(predicted, in->ids, (size_t)in->n * sizeof(*predicted));
	memset(learn, 0, (size_t)in->n);
	if (m->words)
		hide_whole(&h, work);
	if (h.left == in->n_learn)
		hide_tokens(&h);
	out->ids = ids;
	out->learn = learn;
	out->predicted = predicted;
	out->n_learn = in->n_learn - h.left;
}
