/* encoding_base32: RFC 4648, in capitals, as everybody writes it. */
#include "guard/base_n.h"

#define DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

static const struct base_n base32 = { 5, 8, 7, DIGITS, DIGITS, true };

static void find(struct finder *f) { base_n_find(f, &base32); }

static void encode(struct buf *out, const char *s, size_t n) { base_n_encode(out, s, n, &base32); }

const struct encoding encoding_base32 = { .name = "base32", .prior = 18, .find = find, .encode = encode };
