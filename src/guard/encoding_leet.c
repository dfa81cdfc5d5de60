/* encoding_leet: digits and signs for letters that look like them. A word that has none stands in the stretch as it
 * is; one with a digit that looks like no letter is none. 1 and | are i or l, whichever makes the likelier word. */
#include <limits.h>
#include <string.h>

#include "guard/substitution.h"

static char look(char c)
{
	static const char as[128] = {
		['0'] = 'o', ['1'] = 'i', ['3'] = 'e', ['4'] = 'a', ['5'] = 's', ['7'] = 't',
		['9'] = 'g', ['@'] = 'a', ['$'] = 's', ['!'] = 'i', ['|'] = 'i', ['+'] = 't',
	};

	return (c & 0x80) == 0 && as[(uint8_t)c] ? as[(uint8_t)c] : c;
}

static bool undo(const char *s, size_t n, char *out)
{
	size_t letters = 0, looks = 0, tail = n, ones = 0, at[3];

	while (tail && s[tail - 1] == '!') /* ends a sentence */
		tail--;
	for (size_t i = 0; i < n; i++) {
		bool is = language_letter(s[i]) >= 0;
		out[i] = i < tail ? look(s[i]) : s[i];
		letters += is;
		looks += !is && i < tail;
		if (i < tail && language_letter(out[i]) < 0)
			return false;
		if (i < tail && (s[i] == '1' || s[i] == '|') && ones < 3)
			at[ones++] = i;
	}
	if (!looks || (!letters && n < 4))
		return false;
	for (size_t i = 0; i < ones; i++) {
		int as_i = language_word(out, n, NULL, INT_MAX);
		out[at[i]] = 'l';
		if (language_word(out, n, NULL, INT_MAX) >= as_i)
			out[at[i]] = 'i';
	}
	return letters > 0;
}

static void find(struct finder *f)
{
	substitution_find(f, &(struct substitution){ .undo = undo, .in_word_digits = true, .plain = true,
	                                             .most = 3.6 });
}

static void encode(struct buf *out, const char *s, size_t n)
{
	static const char from[] = "ieaostIEAOST", to[] = "134057134057";

	for (size_t i = 0; i < n; i++) {
		const char *at = s[i] ? strchr(from, s[i]) : NULL;
		buf_addc(out, at ? to[at - from] : s[i]);
	}
}

const struct encoding encoding_leet = {
	.name = "leet",
	.prior = 20,
	.once = true,
	.signs = "0134579@$!|+",
	.find = find,
	.encode = encode,
};
