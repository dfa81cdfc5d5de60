/* hash: XXH3-128 (by libxxhash), for identity and integrity, not against an adversary. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

void hash_hex(const void *data, size_t n, char hex[33]);
uint64_t hash_64(const void *data, size_t n);

#endif
