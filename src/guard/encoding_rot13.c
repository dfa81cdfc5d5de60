/* encoding_rot13: each letter thirteen places on. */
#include "guard/substitution.h"

static const char letters[] = "nopqrstuvwxyzabcdefghijklm";

static void find(struct finder *f) { substitution_find(f, &(struct substitution){ .letters = letters, .most = 3.9 }); }

static void encode(struct buf *out, const char *s, size_t n) { substitution_letters(out, s, n, letters); }

const struct encoding encoding_rot13 = { .name = "rot13", .prior = 24, .once = true, .find = find, .encode = encode };
