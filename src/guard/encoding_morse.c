/* encoding_morse: International Morse code (ITU-R M.1677), letters apart by a blank, words by a slash. */
#include <string.h>

#include "guard/signs.h"

static const struct { char c; const char *sign; } code[] = {
	{ 'a', ".-" }, { 'b', "-..." }, { 'c', "-.-." }, { 'd', "-.." }, { 'e', "." }, { 'f', "..-." },
	{ 'g', "--." }, { 'h', "...." }, { 'i', ".." }, { 'j', ".---" }, { 'k', "-.-" }, { 'l', ".-.." },
	{ 'm', "--" }, { 'n', "-." }, { 'o', "---" }, { 'p', ".--." }, { 'q', "--.-" }, { 'r', ".-." },
	{ 's', "..." }, { 't', "-" }, { 'u', "..-" }, { 'v', "...-" }, { 'w', ".--" }, { 'x', "-..-" },
	{ 'y', "-.--" }, { 'z', "--.." }, { '1', ".----" }, { '2', "..---" }, { '3', "...--" },
	{ '4', "....-" }, { '5', "....." }, { '6', "-...." }, { '7', "--..." }, { '8', "---.." },
	{ '9', "----." }, { '0', "-----" }, { '.', ".-.-.-" }, { ',', "--..--" }, { '?', "..--.." },
	{ ' ', "/" }, { ' ', "|" }, { 0, NULL },
};

static char read(const char *s, size_t n)
{
	bool may = n < 7 && (s[0] == '.' || s[0] == '-' || s[0] == '/' || s[0] == '|');

	for (size_t i = 0; may && code[i].sign; i++)
		if (!strncmp(code[i].sign, s, n) && !code[i].sign[n])
			return code[i].c;
	return 0;
}

static void find(struct finder *f)
{
	signs_find(f, &(struct signs){ .read = read, .least = 3, .cost = 8, .wide_blanks = true });
}

static void encode(struct buf *out, const char *s, size_t n)
{
	bool blank = true;

	for (size_t i = 0; i < n; i++) {
		char c = s[i] >= 'A' && s[i] <= 'Z' ? s[i] | 32 : s[i] == '\n' ? ' ' : s[i];
		size_t k = 0;
		while (code[k].sign && code[k].c != c)
			k++;
		if (code[k].sign && !(c == ' ' && blank))
			buf_addf(out, "%s%s", blank && !out->len ? "" : " ", code[k].sign);
		blank = c == ' ';
	}
}

const struct encoding encoding_morse = { .name = "morse", .prior = 14, .find = find, .encode = encode };
