/* masking: tokens are chosen by going through the document once: each with the number still wanted over the number
 * still there, so that the number is exact and every choice as likely (Knuth, The Art of Computer Programming 3.4.2,
 * algorithm S). */
#include "data/masking.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

int32_t masking_count(double share, int32_t n)
{
	return n ? (int32_t)MIN(fmax(round(share * n), 1), n) : 0;
}

/* [0, 1) of a word */
static double unit(uint32_t word) { return word * 0x1p-32; }

/* What stands where token `id` is hidden; word: random. */
static int32_t hidden(const struct masking *m, int32_t id, const uint32_t word[4])
{
	double x = unit(word[1]);

	if (x < m->mask_replace)
		return m->mask;
	return x < m->mask_replace + m->random_replace ? (int32_t)(unit(word[2]) * m->vocabulary) : id;
}

void masking_apply(const struct masking *m, uint64_t step, uint32_t place, const struct document *in,
                   struct document *out, int32_t *ids, uint8_t *learn, int32_t *predicted)
{
	struct rng_key key = { m->seed, RNG_MASK };
	int32_t left = 0, wanted = in->n_learn;

	*out = *in;
	memcpy(ids, in->ids, (size_t)in->n * sizeof(*ids));
	memcpy(predicted, in->ids, (size_t)in->n * sizeof(*predicted));
	memset(learn, 0, (size_t)in->n);
	for (int32_t i = 0; i < in->n; i++)
		left += !tokenizer_is_special(m->tokenizer, in->ids[i]);
	for (int32_t i = 0; i < in->n && wanted; i++) {
		uint32_t word[4];
		if (tokenizer_is_special(m->tokenizer, in->ids[i]))
			continue;
		rng_words(key, step, place, (uint32_t)i, word);
		if (unit(word[0]) * left-- >= wanted)
			continue;
		wanted--;
		learn[i] = 1;
		ids[i] = hidden(m, in->ids[i], word);
	}
	out->ids = ids;
	out->learn = learn;
	out->predicted = predicted;
}
