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

static bool is_ascii(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] >= 0x80)
			return false;
	return true;
}

static void add_lower(struct buf *out, const char *s, size_t n)
{
	if (!is_ascii(s, n)) {
		unicode_recase(out, s, n, UNICODE_LOWER);
		return;
	}
	buf_add(out, s, n);
	for (size_t i = 0; i < n; i++)
		out->data[i] = (char)(s[i] >= 'A' && s[i] <= 'Z' ? s[i] - 'A' + 'a' : s[i]);
}

/* Is the character at s, of *size bytes, of a word? */
static bool is_inside(const char *s, size_t n, size_t *size, uint32_t *c)
{
	*c = (unsigned char)*s;
	*size = 1;
	if (*c < 0x80)
		return (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9');
	*size = utf8_decode(s, n, c);
	return unicode_is_identifier_part(*c) || unicode_is_numeric(*c);
}

void shingles_make(struct shingles *s, const char *text, size_t n)
{
	size_t from = 0, size;
	uint32_t c;

	s->n = 0;
	buf_clear(&s->lower);
	add_lower(&s->lower, text, n);
	const char *at = buf_str(&s->lower);
	for (size_t i = 0; i < s->lower.len; i += size) {
		bool inside = is_inside(at + i, s->lower.len - i, &size, &c), alone = stands_alone(c);
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
