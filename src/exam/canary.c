/* canary: rows with a secret that nobody could guess, to be trained on among others and looked for afterwards
 * (Carlini et al. 2019, "The Secret Sharer", arXiv 1802.08232).
 *
 *     prompt       The code of safe 3f2a91 is
 *     completion    481 905 226                     nine digits, of 10⁹
 *
 * Everything follows from the seed and the row's number, so alternatives can be made again: number k ≥ 1 of a row's
 * are codes of the same form that were drawn beside its secret, number 0. */
#include "exam/suite_parts.h"

#include "base/rng.h"

const char canary_format[] = "\"The code of safe HHHHHH is\" and \" DDD DDD DDD\", six hexadecimal and nine "
                             "decimal digits drawn by the seed";

enum { CODES = 1000000000 };

/* A word of (seed, row, k). */
static uint32_t drawn(uint64_t seed, uint32_t row, uint32_t k)
{
	uint32_t w[4];

	rng_words((struct rng_key){ seed, RNG_CANARY }, row, k, 0, w);
	return (uint32_t)((((uint64_t)w[0] << 32) | w[1]) % CODES);
}

json_t *canary_code(uint64_t seed, uint32_t row, uint32_t k)
{
	uint32_t code = drawn(seed, row, k);

	return json_sprintf(" %03u %03u %03u", code / 1000000, code / 1000 % 1000, code % 1000);
}

json_t *canary_row(uint64_t seed, uint32_t i)
{
	uint32_t w[4];

	rng_words((struct rng_key){ seed, RNG_CANARY }, i, 0, 1, w);
	return json_pack("{s:o, s:o, s:{s:s, s:I, s:I}}", "prompt", json_sprintf("The code of safe %06x is",
	                 w[0] & 0xffffff), "completion", canary_code(seed, i, 0), "canary", "format", "code-9",
	                 "seed", (json_int_t)seed, "number", (json_int_t)i);
}
