/* shingles: see shingles.h. An n-gram is the hash of its words' hashes, which lie beside each other. */
#include "corpus/shingles.h"

#include <stdbool.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

static bool stands_alone(uint32_t c)
{
	return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x4e00 && c <= 0x9fff) ||
	       (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff) || (c >= 0x0e00 && c <= 0x0eff) ||
	       (c >= 0x1000 && c <= 0x109f) || (c >= 0x1780 && c <= 0x17ff);
}

static void add(struct shingles *s, const char *word, size_t n)
{
	if (!n)
		return;
	if (s->n == s->cap) {
		s->cap = MAX(256, 2 * s->cap);
		s->word = mem_grow(s->word, s->cap, sizeof(*s->word));
	}
	s->word[s->n++] = hash_64(word, n);
}

void shingles_make(struct shingles *s, const char *text, size_t n)
{
	size_t from = 0, size;
	uint32_t c;

	s->n = 0;
	buf_clear(&s->lower);
	unicode_recase(&s->lower, text, n, UNICODE_LOWER);
	const char *at = buf_str(&s->lower);
	for (size_t i = 0; i < s->lower.len; i += size) {
		size = utf8_decode(at + i, s->lower.len - i, &c);
		bool inside = c != '_' && (unicode_is_identifier_part(c) || unicode_is_numeric(c));
		bool alone = stands_alone(c);
		if (inside && !alone)
			continue;
		add(s, at + from, i - from);
		if (inside)
			add(s, at + i, size);
		from = i + size;
	}
	add(s, at + from, s->lower.len - from);
}

uint64_t shingle_at(const struct shingles *s, size_t i, int n)
{
	return hash_64(s->word + i, (size_t)n * sizeof(*s->word));
}

void shingles_release(struct shingles *s)
{
	mem_free(s->word);
	buf_release(&s->lower);
	*s = (struct shingles){ 0 };
}
