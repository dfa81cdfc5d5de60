/* watermark: a mark in the choice of words, which only who has the key can see (Kirchenbauer et al. 2023, A Watermark
 * for Large Language Models, algorithm 2). Numbers and names are those of transformers' WatermarkingConfig with
 * seeding_scheme "lefthash" and context_width 1: its WatermarkDetector finds what is drawn here, and the reverse.
 *
 *     green(t)    the first ⌊γ·V⌋ tokens of a permutation of the vocabulary, whose seed is hashing_key · t
 *     drawing     logit += δ of those that are green after the token before; then the temperature
 *     detecting   z = (g − γ·T) / √(T·γ·(1 − γ)),  g of T tokens are green; p = ½·erfc(z/√2)
 *
 * The permutation is torch.randperm's on a processor. What a text was asked, which is not in it, makes one token
 * uncertain; what was rewritten has less of it. A short text says little: at γ ¼, 10 green
 * ones of 10 are z 5.5, and of texts without the mark one in 740 has z 3. */
#ifndef INFER_WATERMARK_H
#define INFER_WATERMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/opt.h"

struct watermark {
	int64_t hashing_key;           /* 0 or less: none */
	double greenlist_ratio, bias;  /* γ, δ */
};

#define WATERMARK_KEY_OPTS(s, f) \
	OPT_INT("watermark-hashing-key", s, f.hashing_key, NULL, 1, 1LL << 40, \
	        "a watermark in the choice of tokens, seen by who has this key"), \
		OPT_FLOAT("watermark-greenlist-ratio", s, f.greenlist_ratio, "0.25", 0.001, 0.999, \
		          "share of the vocabulary that it prefers after each token")
#define WATERMARK_OPTS(s, f) \
	WATERMARK_KEY_OPTS(s, f), \
		OPT_FLOAT("watermark-bias", s, f.bias, "2", 0, 100, "added to the logits of these tokens")

/* How many are green after a token; they are room[0..n). room: [V]. */
size_t watermark_green(const struct watermark *w, int32_t before, size_t V, int32_t *room);

struct watermark_found {
	size_t scored, green;
	double z, p;                   /* NAN where nothing was scored */
};
/* Tokens from the second on. once: pairs that are there twice count once, as a text that repeats itself would else seem
 * marked, or not, by chance. */
struct watermark_found watermark_detect(const struct watermark *w, const int32_t *ids, size_t n, size_t V, bool once);

#endif
