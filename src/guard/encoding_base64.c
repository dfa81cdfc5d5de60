/* encoding_base64: RFC 4648, its alphabet for addresses too. */
#include "guard/base_n.h"

#define DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const struct base_n base64 = { 6, 4, 6, DIGITS "+/", DIGITS "-_", true };

static void find(struct finder *f) { base_n_find(f, &base64); }

static void encode(struct buf *out, const char *s, size_t n) { base_n_encode(out, s, n, &base64); }

const struct encoding encoding_base64 = { .name = "base64", .prior = 18, .find = find, .encode = encode };
