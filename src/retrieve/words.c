/* words: see words.h. */
#include "retrieve/words.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

static const char *const stop_words[] = { "a",    "an",    "and",   "are",   "as",   "at",   "be",   "but",  "by",
	                                  "for",  "if",    "in",    "into",  "is",   "it",   "no",   "not",  "of",
	                                  "on",   "or",    "such",  "that",  "the",  "their", "then", "there", "these",
	                                  "they", "this",  "to",    "was",   "will", "with" };

bool word_is_stop(const char *s, size_t n)
{
	for (size_t i = 0; n <= 5 && i < ARRAY_LEN(stop_words); i++)
		if (stop_words[i][0] == *s && strlen(stop_words[i]) == n && !memcmp(stop_words[i], s, n))
			return true;
	return false;
}

void word_lower(struct buf *out, const char *text, size_t n) { unicode_recase(out, text, n, UNICODE_LOWER); }

static bool is_ascii_word(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (c >= 'A' && c <= 'Z');
}

/* Bytes of the character at s, and whether it is one of a word. */
static size_t look(const char *s, size_t n, bool *in)
{
	uint32_t c;

	if ((unsigned char)*s < 0x80) {
		*in = is_ascii_word((unsigned char)*s);
		return 1;
	}
	size_t bytes = utf8_decode(s, n, &c);
	*in = bytes && unicode_is_alnum(c);
	return MAX(bytes, (size_t)1);
}

const char *word_next(const char *text, size_t n, size_t *at, size_t *length)
{
	while (*at < n) {
		size_t begin = *at, characters = 0;
		while (*at < n) {
			bool in;
			size_t bytes = look(text + *at, n - *at, &in);
			if (!in && *at > begin)
				break;
			*at += bytes;
			if (!in)
				begin = *at;
			characters += in;
		}
		*length = *at - begin;
		if (characters > 1)
			return text + begin;
	}
	return NULL;
}
