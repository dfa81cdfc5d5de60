/* Regular expressions: leftmost and longest, both sides of edges, what cannot be computed refused, and work in
 * proportion to the text where others take its square or more. */
#include "../test.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "guard/regex.h"

static void matches(struct test *t)
{
	static const struct {
		const char *pattern, *text, *match;
	} cases[] = {
		{ "abc", "xxabcx", "abc" },
		{ "a|ab|abc", "xabcd", "abc" },
		{ "a+", "baaac", "aaa" },
		{ "(a|b)*c", "xababcx", "ababc" },
		{ "\\bcat\\b", "concat cat cats", "cat" },
		{ "\\Bcat\\b", "cat concat", "cat" },
		{ "^b.*$", "a\nbcd\ne", "bcd" },
		{ "[0-9]{3}-?[0-9]{2,4}", "tel 12-34 555-1234x", "555-1234" },
		{ "(?i)ignore (all )?previous", "please IGNORE ALL Previous", "IGNORE ALL Previous" },
		{ "[^a-z]+", "abcDEF1é!z", "DEF1é!" },
		{ "naïve|日本.", "x日本語y", "日本語" },
		{ "[äö]x", "bäx", "äx" },
		{ "<\\|[a-z_]{1,9}\\|>", "a<|im_start|>b", "<|im_start|>" },
		{ "(x{2}){2}", "xxxxx", "xxxx" },
		{ "a{2,}", "a aa aaaa", "aa" },
		{ "\\d+\\.\\d+|\\w+@\\w+", "see me@home 1.5", "me@home" },
		{ "colou?r", "the colour", "colour" },
		{ "a.c", "a\nc abc", "abc" },
		{ "(.([ab]b){0,3}.){1,3}c", "zabababaabbabc", "abaabbabc" },
		{ "x(a{0,3}b){0,2}c", "xaabaaac", NULL },
		{ "x(a{0,3}b){2,4}c", "xaababbc xaaaab", "xaababbc" },
		{ "xyz", "abc", NULL },
		{ "a{3}", "aa", NULL },
		{ "^x", "ax", NULL },
	};
	test_case(t, "matches");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct regex_set *s = regex_set_new();
		size_t n = strlen(cases[i].text), begin, end;
		bool found = false;
		uint64_t work = 0;
		CHECK_MSG(t, regex_set_add(s, cases[i].pattern, &e) == 0, "%s", e.msg);
		struct regex_scratch *x = regex_scratch_new(s);
		regex_set_search(x, cases[i].text, n, &found, &work, UINT64_MAX);
		bool is = regex_find(x, 0, cases[i].text, n, 0, &begin, &end, &work);
		CHECK_MSG(t, is == (cases[i].match != NULL) && found == is, "%s in %s", cases[i].pattern,
		          cases[i].text);
		if (is && cases[i].match)
			CHECK_MSG(t,
			          end - begin == strlen(cases[i].match) &&
			                  !strncmp(cases[i].text + begin, cases[i].match, end - begin),
			          "%s: %.*s", cases[i].pattern, (int)(end - begin), cases[i].text + begin);
		regex_scratch_free(x);
		regex_set_free(s);
	}
}

static void refused(struct test *t)
{
	static const struct {
		const char *pattern, *says;
	} cases[] = {
		{ "(a)\\1", "references back" },
		{ "(?=a)b", "looking around" },
		{ "a*", "where nothing stands" },
		{ "(a", "not closed" },
		{ "a)", "not opened" },
		{ "[a", "does not end" },
		{ "*a", "before the count" },
		{ "a{2,1}", "a count is" },
		{ "a{999}", "a count is" },
		{ "a+?", "the longest" },
		{ "\\q", "not known" },
		{ "[z-a]", "a range goes" },
		{ "((a{200}){200}){200}", "too large" },
		{ "\xFF", "UTF-8" },
		{ "a\\", "backslash" },
		{ "", "where nothing stands" },
	};
	test_case(t, "what cannot be computed is refused by a sentence");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		struct regex_set *s = regex_set_new();
		CHECK_MSG(t, regex_set_add(s, cases[i].pattern, &e) < 0 && strstr(e.msg, cases[i].says), "'%s': %s",
		          cases[i].pattern, e.msg);
		regex_set_free(s);
	}
}

static void sets(struct test *t)
{
	static const char *const patterns[] = { "cat", "dog", "\\bc", "[0-9]{4}" };
	struct regex_set *s = regex_set_new();
	bool found[4];
	uint64_t work = 0;
	test_case(t, "several at once: which of them match, in one pass");
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		CHECK(t, regex_set_add(s, patterns[i], NULL) == (int)i);
	struct regex_scratch *x = regex_scratch_new(s);
	const char *text = "a concat in 1999";
	regex_set_search(x, text, strlen(text), found, &work, UINT64_MAX);
	CHECK(t, found[0] && !found[1] && found[2] && found[3]);
	regex_set_search(x, "", 0, found, &work, UINT64_MAX);
	CHECK(t, !found[0] && !found[1] && !found[2] && !found[3]);
	regex_scratch_free(x);
	regex_set_free(s);
}

/* Texts on which others take exponential time, or the square. */
static void linear(struct test *t)
{
	static const char *const patterns[] = { "(a+)+b",        "(a|a)*b",       "a*a*a*a*a*b",
		                                "(.*)(.*)(.*)x", "[a-z]{1,40}@b", "a.{50}c" };
	struct buf text = BUF_INIT;
	test_case(t, "work is linear in the text, whatever the expression");
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
		uint64_t work[2] = { 0 };
		for (int k = 0; k < 2; k++) {
			struct regex_set *s = regex_set_new();
			bool found;
			size_t begin, end;
			buf_clear(&text);
			while (text.len < (k ? 400000u : 100000u))
				buf_addc(&text, 'a');
			CHECK(t, regex_set_add(s, patterns[i], NULL) == 0);
			struct regex_scratch *x = regex_scratch_new(s);
			regex_set_search(x, text.data, text.len, &found, &work[k], UINT64_MAX);
			CHECK(t, !found && !regex_find(x, 0, text.data, text.len, 0, &begin, &end, &work[k]));
			regex_scratch_free(x);
			regex_set_free(s);
		}
		CHECK_MSG(t, work[1] < 6 * work[0], "%s: %llu, then %llu", patterns[i], (unsigned long long)work[0],
		          (unsigned long long)work[1]);
	}
	buf_release(&text);
}

/* More states than are kept: they are forgotten, and the answer stays right. */
static void forgotten(struct test *t)
{
	struct regex_set *s = regex_set_new();
	struct buf text = BUF_INIT;
	uint32_t r = 1;
	bool found;
	size_t begin = 0, end = 0;
	uint64_t work = 0;
	test_case(t, "states that are forgotten");
	CHECK(t, regex_set_add(s, "a[ab]{16}c", NULL) == 0);
	for (int i = 0; i < 60000; i++)
		buf_addc(&text, (r = r * 1664525 + 1013904223) >> 16 & 1 ? 'a' : 'b');
	buf_adds(&text, "baaaaaaaaaaaaaaaaac");
	struct regex_scratch *x = regex_scratch_new(s);
	regex_set_search(x, text.data, text.len, &found, &work, UINT64_MAX);
	CHECK(t, found && regex_find(x, 0, text.data, text.len, 0, &begin, &end, &work));
	CHECK(t, end == text.len && end - begin == 18);
	regex_scratch_free(x);
	regex_set_free(s);
	buf_release(&text);
}

/* Expressions of which each is found where it is, and no other is. */
static void many(struct test *t)
{
	static const char *const patterns[] = { "x[a-z]{200}1", "y[a-z]{200}2", "z[ab]{250,256}3", "q4",
		                                "w[a-z]{200}5", "v[a-z]{200}6", "u[a-z]{200}7", "t[a-z]{200}8",
		                                "s[a-z]{200}9", "r[a-z]{200}0", "[ab]{256}[cd]{256}!" };
	struct regex_set *s = regex_set_new();
	bool found[ARRAY_LEN(patterns)];
	uint64_t work = 0;

	test_case(t, "a set of many that count far");
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		CHECK(t, regex_set_add(s, patterns[i], NULL) == (int)i);
	struct regex_scratch *x = regex_scratch_new(s);
	for (size_t i = 0; i < ARRAY_LEN(patterns) - 1; i++) {
		struct buf text = BUF_INIT;
		buf_addc(&text, patterns[i][0]);
		while (i != 3 && text.len <= (i == 2 ? 250u : 200u))
			buf_addc(&text, i == 2 ? 'b' : 'k');
		buf_addc(&text, patterns[i][strlen(patterns[i]) - 1]);
		regex_set_search(x, text.data, text.len, found, &work, UINT64_MAX);
		for (size_t k = 0; k < ARRAY_LEN(patterns); k++)
			CHECK_MSG(t, found[k] == (k == i), "%s in the text of %s", patterns[k], patterns[i]);
		buf_release(&text);
	}
	regex_scratch_free(x);
	regex_set_free(s);
}

/* What a text has nothing of is not looked for: a pass for all is all the work. */
static void needs(struct test *t)
{
	static const char *const patterns[] = { "(secret|key)[0-9]*=", "\\b[0-9]{3}-?[0-9]{4}\\b",
		                                "(?i)BEGIN (RSA )?KEY", "[a-f0-9]{20}",
		                                "(指示|命令).{0,20}無視|vergiss" };
	static const struct { const char *text; int number; } cases[] = {
		{ "the secret = 5", -1 },
		{ "Secret=", -1 },
		{ "my key12=", 0 },
		{ "555-1234", 1 },
		{ "555-12a34", -1 },
		{ "begin rsa Key", 2 },
		{ "bead bead bead bead", -1 },
		{ "beadbeadbeadbeadbead", 3 },
		{ "Vergiss", -1 },
		{ "vergiss", 4 },
		{ "命令を無視", 4 },
		{ "無視", -1 },
	};
	struct regex_set *s = regex_set_new();
	bool found[ARRAY_LEN(patterns)];
	test_case(t, "what an expression needs");
	for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
		CHECK(t, regex_set_add(s, patterns[i], NULL) == (int)i);
	struct regex_scratch *x = regex_scratch_new(s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t work = 0;
		regex_set_search(x, cases[i].text, strlen(cases[i].text), found, &work, UINT64_MAX);
		for (int k = 0; k < (int)ARRAY_LEN(patterns); k++)
			CHECK_MSG(t, found[k] == (k == cases[i].number), "%s in %s", patterns[k], cases[i].text);
	}
	uint64_t work = 0;
	const char *plain = "Nothing of this kind stands in 12 words of prose, however many they are.";
	regex_set_search(x, plain, strlen(plain), found, &work, UINT64_MAX);
	CHECK(t, work == strlen(plain));
	regex_scratch_free(x);
	regex_set_free(s);
}

/* Beside a word, and nowhere else; a text without it is not looked at. */
static void beside(struct test *t)
{
	static const char *const words[] = { "tel", "call me" };
	static const struct { const char *text; bool found; } cases[] = {
		{ "my number is 123", false }, { "TEL 123", true }, { "call her 123", false }, { "123, Call me", true },
		{ "tel me", false },
	};
	struct regex_set *s = regex_set_new();
	test_case(t, "an expression that counts beside words alone");
	CHECK(t, regex_set_add(s, "[0-9]{3}", NULL) == 0);
	regex_set_beside(s, 0, words, ARRAY_LEN(words));
	struct regex_scratch *x = regex_scratch_new(s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint64_t work = 0;
		bool found;
		regex_set_search(x, cases[i].text, strlen(cases[i].text), &found, &work, UINT64_MAX);
		CHECK_MSG(t, found == cases[i].found, "%s", cases[i].text);
		CHECK(t, i || work == strlen(cases[i].text));
	}
	regex_scratch_free(x);
	regex_set_free(s);
}

/* Stripes of the filter and automata beside each other: a match may stand anywhere, its expression anywhere among the
 * others, which match before it, behind it or not at all. */
static void everywhere(struct test *t)
{
	static const char *const patterns[] = {
		"disregard.{0,30}rules", "x{3}y", "\\bfirst\\b", "z[0-9]+", "last$", "q+", "never",
	};
	enum { N = ARRAY_LEN(patterns), LENGTH = 300 };
	static const char needle[] = "disregard all the rules";
	struct regex_set *s = regex_set_new();
	struct regex_scratch *x;
	bool found[N];

	test_case(t, "a match wherever it stands, among others");
	for (size_t i = 0; i < N; i++)
		CHECK(t, regex_set_add(s, patterns[i], NULL) == (int)i);
	x = regex_scratch_new(s);
	for (size_t at = 7; at + sizeof(needle) + 6 < LENGTH; at++) {
		char text[LENGTH + 1];
		size_t begin = 0, end = 0, begins, ends;
		uint64_t work = 0;
		memset(text, '.', LENGTH);
		memcpy(text, "first ", 6);
		memcpy(text + at, needle, sizeof(needle) - 1);
		memcpy(text + LENGTH - 6, "z7last", 7);
		regex_set_search(x, text, LENGTH, found, &work, UINT64_MAX);
		CHECK(t, found[0] && !found[1] && found[2] && found[3] && found[4] && !found[5] && !found[6]);
		regex_first(x, 0, &begin, &end);
		CHECK_MSG(t, begin == at && end == at + sizeof(needle) - 1, "%zu to %zu at %zu", begin, end, at);
		for (int k = 2; k < 5; k++) {
			regex_first(x, k, &begin, &end);
			bool again = regex_find(x, k, text, LENGTH, 0, &begins, &ends, &work);
			CHECK(t, again && begin == begins && end == ends);
		}
	}
	regex_scratch_free(x);
	regex_set_free(s);
}

void test_guard_regex(struct test *t)
{
	many(t);
	everywhere(t);
	needs(t);
	beside(t);
	matches(t);
	refused(t);
	sets(t);
	linear(t);
	forgotten(t);
}
