/* hash: thin over libxxhash; the 128-bit value is written in its canonical (big endian) order, as xxh128sum prints
 * it. */
#include "base/hash.h"

#include <stdio.h>
#include <xxhash.h>

#include "base/err.h"

static void print_hex(XXH128_hash_t h, char hex[33])
{
	snprintf(hex, 33, "%016llx%016llx", (unsigned long long)h.high64, (unsigned long long)h.low64);
}

void hash_hex(const void *data, size_t n, char hex[33]) { print_hex(XXH3_128bits(data, n), hex); }
uint64_t hash_64(const void *data, size_t n) { return XXH3_64bits(data, n); }

void hash_128(const void *data, size_t n, uint64_t out[2])
{
	XXH128_hash_t h = XXH3_128bits(data, n);
	out[0] = h.high64;
	out[1] = h.low64;
}

struct hash_stream *hash_begin(void)
{
	XXH3_state_t *s = XXH3_createState();
	if (!s || XXH3_128bits_reset(s) != XXH_OK)
		BUG("libxxhash made no state");
	return (struct hash_stream *)s;
}

void hash_add(struct hash_stream *h, const void *data, size_t n)
{
	if (XXH3_128bits_update((XXH3_state_t *)h, data, n) != XXH_OK)
		BUG("libxxhash refused %zu bytes", n);
}

void hash_now(const struct hash_stream *h, char hex[33])
{
	print_hex(XXH3_128bits_digest((const XXH3_state_t *)h), hex);
}

void hash_end(struct hash_stream *h, char hex[33])
{
	print_hex(XXH3_128bits_digest((XXH3_state_t *)h), hex);
	XXH3_freeState((XXH3_state_t *)h);
}
