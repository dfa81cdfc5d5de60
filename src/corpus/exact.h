/* exact: which texts were there before, by 128 bits of hash (XXH3): a set that grows, 30 to 60 bytes a
 * text. Of 2^32 texts two differing ones are taken for one with probability 2^-65. */
#ifndef CORPUS_EXACT_H
#define CORPUS_EXACT_H

#include <stddef.h>
#include <stdint.h>

struct exact { uint64_t (*key)[2]; uint32_t *item; size_t slots, n; };  /* from zeros */

/* The item that was added with this key, −1: none. */
int64_t exact_find(const struct exact *x, const uint64_t key[2]);
void exact_add(struct exact *x, const uint64_t key[2], uint32_t item);  /* item: at most 2^32 − 2 */
void exact_release(struct exact *x);

#endif
