/* sha: SHA-1 and SHA-256 (FIPS 180-4), by which git and a hub's large files are known. */
#ifndef BASE_SHA_H
#define BASE_SHA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sha {
	bool is_256;
	uint32_t h[8];
	uint8_t block[64];
	uint64_t n;         /* bytes so far */
};

void sha_begin(struct sha *s, bool is_256);
void sha_add(struct sha *s, const void *data, size_t n);
void sha_end(struct sha *s, char hex[65]); /* 40 digits of SHA-1, 64 of SHA-256 */
void sha_256(const void *data, size_t n, char hex[65]); /* all of it at once */

#endif
