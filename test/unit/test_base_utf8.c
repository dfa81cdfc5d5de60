/* UTF-8 against an independent definition: a byte sequence is a character exactly when it is the encoding of one. */
#include "../test.h"

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/utf8.h"

static bool is_scalar(uint32_t cp) { return cp < 0xD800 || (cp > 0xDFFF && cp <= 0x10FFFF); }

static void all_characters(struct test *t)
{
	uint32_t wrong = 0;
	test_case(t, "every code point there and back");
	for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
		char s[4];
		uint32_t back = ~0u;
		if (!is_scalar(cp))
			continue;
		size_t n = utf8_encode(cp, s);
		wrong += utf8_decode(s, n, &back) != n || back != cp;
		for (size_t part = 1; part < n; part++)
			wrong += utf8_decode(s, part, &back) != 0 || utf8_complete(s, part) != 0;
		wrong += utf8_complete(s, n) != n;
	}
	CHECK_MSG(t, wrong == 0, "%u wrong", wrong);
}

/* All strings of three bytes, and of four with a lead byte that could begin four. */
static void all_sequences(struct test *t)
{
	size_t wrong = 0, valid = 0;
	test_case(t, "decoding accepts encodings alone");
	for (uint32_t x = 0; x < 1u << 24; x++) {
		char s[4] = { (char)(x >> 16), (char)(x >> 8), (char)x, (char)0x80 }, again[4];
		uint32_t cp;
		size_t n = utf8_decode(s, 4, &cp);
		if (n == 0)
			continue;
		valid++;
		wrong += !is_scalar(cp) || utf8_encode(cp, again) != n || memcmp(s, again, n) != 0;
	}
	CHECK_MSG(t, wrong == 0, "%zu wrong of %zu", wrong, valid);
	/* 128 of one byte, 1920 of two, 61440 of three, 1048576/64 of four (the last byte stands still) */
	CHECK_MSG(t, valid == 128u * 65536 + 1920u * 256 + 61440u + 1048576u / 64, "%zu", valid);
}

static void repairs(struct test *t)
{
	static const struct { const char *from, *to; } cases[] = {
		{ "plain", "plain" },
		{ "\x80", "\xEF\xBF\xBD" },
		{ "a\xC3", "a\xEF\xBF\xBD" },
		/* a well begun part is one mark */
		{ "\xE2\x82z", "\xEF\xBF\xBDz" },
		{ "\xF0\x9F\x98", "\xEF\xBF\xBD" },
		{ "\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD" },                                   /* overlong */
		{ "\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },                   /* a surrogate */
		{ "\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD" },   /* beyond U+10FFFF */
		{ "\xE0\x80z", "\xEF\xBF\xBD\xEF\xBF\xBDz" },
	};
	test_case(t, "repair");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b = BUF_INIT;
		utf8_repair(&b, cases[i].from, strlen(cases[i].from));
		CHECK_MSG(t, strcmp(buf_str(&b), cases[i].to) == 0, "case %zu", i);
		buf_release(&b);
	}
	test_case(t, "complete prefixes, counts, the first wrong byte");
	size_t bad = 99;
	CHECK(t, utf8_complete("a\xE2\x82", 3) == 1 && utf8_complete("a\x82", 2) == 2 && utf8_complete("", 0) == 0);
	CHECK(t, utf8_complete("\xF0\x9F\x98\x80\xF0\x9F", 6) == 4 && utf8_complete("\xE0\x80", 2) == 2);
	CHECK(t, utf8_count("a\xC3\xA9\x80z", 5) == 4);
	CHECK(t, !utf8_valid("ab\xC3(", 4, &bad) && bad == 2 && utf8_valid("\xC3\xA9", 2, NULL) &&
	                 utf8_valid("", 0, NULL));
}

static void random_bytes(struct test *t)
{
	struct rng_stream r = { 5 };
	size_t wrong = 0;
	test_case(t, "random bytes: repaired text is valid, streaming in pieces gives the same text");
	for (int round = 0; round < 3000; round++) {
		char s[24];
		size_t n = rng_below(&r, sizeof(s)) + 1, done = 0;
		static const char likely[] = "\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xED\xA0\x80" "ab";
		for (size_t i = 0; i < n; i++)
			s[i] = rng_below(&r, 4) ? likely[rng_below(&r, sizeof(likely) - 1)] : (char)rng_next(&r);
		struct buf whole = BUF_INIT, pieces = BUF_INIT;
		utf8_repair(&whole, s, n);
		for (size_t have = 1; have <= n; have++) {
			size_t ready = have == n ? n : utf8_complete(s, have);
			if (ready > done) {
				utf8_repair(&pieces, s + done, ready - done);
				done = ready;
			}
		}
		wrong += !utf8_valid(buf_str(&whole), whole.len, NULL) || whole.len != pieces.len ||
		         memcmp(buf_str(&whole), buf_str(&pieces), whole.len) != 0;
		wrong += utf8_valid(s, n, NULL) != (whole.len == n && memcmp(whole.data, s, n) == 0);
		buf_release(&whole);
		buf_release(&pieces);
	}
	CHECK_MSG(t, wrong == 0, "%zu wrong", wrong);
}

void test_base_utf8(struct test *t)
{
	all_characters(t);
	all_sequences(t);
	repairs(t);
	random_bytes(t);
}
