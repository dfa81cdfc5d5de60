/* sha: blocks of 64 bytes. */
#include "base/sha.h"

#include <string.h>

#include "base/mem.h"

static const uint32_t round_256[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t left(uint32_t x, int n) { return x << n | x >> (32 - n); }
static uint32_t right(uint32_t x, int n) { return x >> n | x << (32 - n); }

void sha_begin(struct sha *s, bool is_256)
{
	static const uint32_t one[8] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	static const uint32_t two[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	*s = (struct sha){ .is_256 = is_256 };
	memcpy(s->h, is_256 ? two : one, sizeof(s->h));
}

static void block_256(uint32_t h[8], const uint32_t in[16])
{
	uint32_t w[64], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], last = h[7];
	memcpy(w, in, 64);
	for (int i = 16; i < 64; i++) {
		uint32_t x = w[i - 15], y = w[i - 2];
		w[i] = w[i - 16] + (right(x, 7) ^ right(x, 18) ^ x >> 3) + w[i - 7] +
		       (right(y, 17) ^ right(y, 19) ^ y >> 10);
	}
	for (int i = 0; i < 64; i++) {
		uint32_t x = last + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) + ((e & f) ^ (~e & g)) + round_256[i] +
		             w[i];
		uint32_t y = (right(a, 2) ^ right(a, 13) ^ right(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		last = g;
		g = f;
		f = e;
		e = d + x;
		d = c;
		c = b;
		b = a;
		a = x + y;
	}
	const uint32_t add[8] = { a, b, c, d, e, f, g, last };
	for (int i = 0; i < 8; i++)
		h[i] += add[i];
}

static void block_1(uint32_t h[8], const uint32_t in[16])
{
	static const uint32_t k[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
	memcpy(w, in, 64);
	for (int i = 16; i < 80; i++)
		w[i] = left(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (int i = 0; i < 80; i++) {
		uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 || i >= 60 ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
		uint32_t t = left(a, 5) + f + e + k[i / 20] + w[i];
		e = d;
		d = c;
		c = left(b, 30);
		b = a;
		a = t;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

static void take(struct sha *s)
{
	uint32_t w[16];
	for (int i = 0; i < 16; i++)
		w[i] = (uint32_t)s->block[4 * i] << 24 | (uint32_t)s->block[4 * i + 1] << 16 |
		       (uint32_t)s->block[4 * i + 2] << 8 | s->block[4 * i + 3];
	(s->is_256 ? block_256 : block_1)(s->h, w);
}

void sha_add(struct sha *s, const void *data, size_t n)
{
	const uint8_t *at = data;
	while (n) {
		size_t have = s->n % 64, k = MIN(n, 64 - have);
		memcpy(s->block + have, at, k);
		s->n += k;
		at += k;
		n -= k;
		if (s->n % 64 == 0)
			take(s);
	}
}

void sha_end(struct sha *s, char hex[65])
{
	uint64_t bits = s->n * 8;
	uint8_t rest[72] = { 0x80 };
	size_t n = 64 - (s->n + 8) % 64;
	for (size_t i = 0; i < 8; i++)
		rest[n + i] = (uint8_t)(bits >> (56 - 8 * i));
	sha_add(s, rest, n + 8);
	int digits = s->is_256 ? 64 : 40;
	for (int i = 0; i < digits; i++)
		hex[i] = "0123456789abcdef"[s->h[i / 8] >> (28 - i % 8 * 4) & 15];
	hex[digits] = 0;
}

void sha_256(const void *data, size_t n, char hex[65])
{
	struct sha s;

	sha_begin(&s, true);
	sha_add(&s, data, n);
	sha_end(&s, hex);
}
