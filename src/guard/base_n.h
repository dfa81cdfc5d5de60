/* base_n: what base64, base32 and base16 have in common: runs of an alphabet, k bits a character, which may be parted
 * by line ends as mail parts them. */
#ifndef GUARD_BASE_N_H
#define GUARD_BASE_N_H

#include "guard/encoding.h"

struct base_n {
	int bits;
	size_t group;                    /* characters that are whole bytes: 4, 8, 2 */
	size_t least;                    /* characters of a run */
	const char *alphabet, *also;     /* the digits in their order, and in another way; both of as many */
	bool padded;                     /* '=' may follow */
};

void base_n_find(struct finder *f, const struct base_n *b);
void base_n_encode(struct buf *out, const char *s, size_t n, const struct base_n *b);

#endif
