/* hash: XXH3-128 (by libxxhash), for identity and integrity, not against an adversary. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

void hash_hex(const void *data, size_t n, char hex[33]);
uint64_t hash_64(const void *data, size_t n);
void hash_128(const void *data, size_t n, uint64_t out[2]);     /* the number that hash_hex writes: high, low */

/* The same in pieces; hash_end writes hash_hex of all of them and frees the stream. */
struct hash_stream;
struct hash_stream *hash_begin(void);
void hash_add(struct hash_stream *h, const void *data, size_t n);
void hash_now(const struct hash_stream *h, char hex[33]);   /* of those so far */
void hash_end(struct hash_stream *h, char hex[33]);

#endif
