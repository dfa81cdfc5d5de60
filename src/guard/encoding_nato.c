/* encoding_nato: the alphabet of NATO and ICAO, a word for a letter, in its official spelling and the usual ones. */
#include <string.h>
#include <strings.h>

#include "guard/signs.h"

static const char *const words[] = {
	"alfa", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett", "kilo", "lima",
	"mike", "november", "oscar", "papa", "quebec", "romeo", "sierra", "tango", "uniform", "victor", "whiskey",
	"xray", "yankee", "zulu",
};
static const struct { const char *word; char c; } also[] = {
	{ "alpha", 'a' }, { "juliet", 'j' }, { "whisky", 'w' }, { "x-ray", 'x' }, { "fox-trot", 'f' },
};

static char read(const char *s, size_t n)
{
	char low = s[0] | 32;

	while (n > 1 && (s[n - 1] == ',' || s[n - 1] == '.'))
		n--;
	if (n < 4 || n > 8)
		return n == 1 && s[0] == '/' ? ' ' : 0;
	if (low >= 'a' && low <= 'z' && strlen(words[low - 'a']) == n && !strncasecmp(words[low - 'a'], s, n))
		return low;
	for (size_t i = 0; i < sizeof(also) / sizeof(also[0]); i++)
		if (low == (also[i].word[0] | 32) && strlen(also[i].word) == n && !strncasecmp(also[i].word, s, n))
			return also[i].c;
	return 0;
}

/* Words that mean themselves do not come three beside each other. */
static void find(struct finder *f)
{
	signs_find(f, &(struct signs){ .read = read, .least = 3, .cost = 10, .wide_blanks = true });
}

static void encode(struct buf *out, const char *s, size_t n)
{
	size_t began = out->len;

	for (size_t i = 0; i < n; i++) {
		char c = s[i] | 32;
		if (c >= 'a' && c <= 'z')
			buf_addf(out, "%s%s", out->len > began ? " " : "", words[c - 'a']);
	}
}

const struct encoding encoding_nato = { .name = "nato", .prior = 14, .find = find, .encode = encode };
