/* What Python's str says of every code point that its Unicode assigns (test/golden/values/unicode.json, written by
 * tools/golden/unicode.py), and texts where a character's neighbours decide. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/unicode.h"
#include "base/utf8.h"

enum { N = 0x110000 };

static uint32_t number(const json_t *list, size_t i) { return (uint32_t)json_integer_value(json_array_get(list, i)); }

/* Which code points the runs [first, last, step] have. */
static uint8_t *members(const json_t *runs)
{
	uint8_t *is = mem_alloc(N);
	const json_t *run;
	size_t i;

	json_array_foreach(runs, i, run)
		for (uint32_t c = number(run, 0); c <= number(run, 1); c += number(run, 2))
			is[c] = 1;
	return is;
}

static void properties(struct test *t, const json_t *golden, const uint8_t *assigned)
{
	static const struct { const char *name; bool (*is)(uint32_t c); } rows[] = {
		{ "space", unicode_is_space },
		{ "line_break", unicode_is_line_break },
		{ "decimal", unicode_is_decimal },
		{ "digit", unicode_is_digit },
		{ "numeric", unicode_is_numeric },
		{ "alpha", unicode_is_alpha },
		{ "alnum", unicode_is_alnum },
		{ "upper", unicode_is_upper },
		{ "lower", unicode_is_lower },
		{ "title", unicode_is_title },
		{ "cased", unicode_is_cased },
		{ "case_ignorable", unicode_is_case_ignorable },
		{ "printable", unicode_is_printable },
		{ "identifier_start", unicode_is_identifier_start },
		{ "identifier_part", unicode_is_identifier_part },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		test_case(t, "every code point: %s", rows[i].name);
		uint8_t *want = members(json_object_get(golden, rows[i].name));
		size_t wrong = 0, first = 0, n = 0;
		for (uint32_t c = 0; c < N; c++) {
			n += want[c];
			/* utf8proc calls no surrogate a character's case or digit either */
			if (assigned[c] && (c < 0xD800 || c > 0xDFFF) && rows[i].is(c) != want[c] && !wrong++)
				first = c;
		}
		CHECK_MSG(t, wrong == 0 && n > 0, "%zu wrong, first U+%04zX", wrong, first);
		mem_free(want);
	}
}

/* to[c]: another character, 0 where it is the same. */
static uint32_t *moved(const json_t *runs)
{
	uint32_t *to = mem_alloc(N * sizeof(*to));
	const json_t *run;
	size_t i;

	json_array_foreach(runs, i, run)
		for (uint32_t c = number(run, 0); c <= number(run, 1); c += number(run, 2))
			to[c] = c + number(run, 3);
	return to;
}

static void cases(struct test *t, const json_t *golden, const uint8_t *assigned)
{
	static const struct { const char *name; enum unicode_case how; } rows[] = {
		{ "to_lower", UNICODE_LOWER },
		{ "to_upper", UNICODE_UPPER },
		{ "to_title", UNICODE_TITLE },
		{ "to_title", UNICODE_CAPITALIZE },
		{ "to_swapped", UNICODE_SWAPCASE },
		{ "to_folded", UNICODE_CASEFOLD },
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		test_case(t, "every code point: %s (%d)", rows[i].name, (int)rows[i].how);
		char many[32], key[16], bytes[5];
		snprintf(many, sizeof(many), "%s_many", rows[i].name);
		const json_t *texts = json_object_get(golden, many);
		uint32_t *to = moved(json_object_get(golden, rows[i].name));
		size_t wrong = 0, first = 0;
		struct buf out = BUF_INIT;
		for (uint32_t c = 0; c < N; c++) {
			if (!assigned[c] || (c >= 0xD800 && c <= 0xDFFF))
				continue;
			snprintf(key, sizeof(key), "%X", c);
			const char *text = json_string_value(json_object_get(texts, key));
			size_t n = utf8_encode(to[c] ? to[c] : c, bytes);
			const char *want = text ? text : bytes;
			n = text ? strlen(text) : n;
			char from[4];
			out.len = 0;
			unicode_recase(&out, from, utf8_encode(c, from), rows[i].how);
			if ((out.len != n || memcmp(out.data, want, n) != 0) && !wrong++)
				first = c;
		}
		CHECK_MSG(t, wrong == 0, "%zu wrong, first U+%04zX", wrong, first);
		buf_release(&out);
		mem_free(to);
	}
}

static void check_text(struct test *t, const json_t *row)
{
	static const char *const names[] = {
		[UNICODE_LOWER] = "lower",           [UNICODE_UPPER] = "upper",       [UNICODE_TITLE] = "title",
		[UNICODE_CAPITALIZE] = "capitalize", [UNICODE_SWAPCASE] = "swapcase", [UNICODE_CASEFOLD] = "casefold",
	};
	const char *text = json_string_value(json_object_get(row, "text"));
	size_t n = strlen(text);

	test_case(t, "text \"%s\"", text);
	for (size_t how = 0; how < ARRAY_LEN(names); how++) {
		struct buf out = BUF_INIT;
		const char *want = json_string_value(json_object_get(row, names[how]));
		unicode_recase(&out, text, n, (enum unicode_case)how);
		CHECK_MSG(t, !strcmp(buf_str(&out), want), "%s: \"%s\", wanted \"%s\"", names[how], buf_str(&out),
		          want);
		buf_release(&out);
	}
	CHECK(t, unicode_text_is_upper(text, n) == json_is_true(json_object_get(row, "isupper")));
	CHECK(t, unicode_text_is_lower(text, n) == json_is_true(json_object_get(row, "islower")));
	CHECK(t, unicode_text_is_title(text, n) == json_is_true(json_object_get(row, "istitle")));
}

static void decimals(struct test *t, const json_t *golden)
{
	uint8_t *zero = members(json_object_get(golden, "zero"));
	size_t wrong = 0, n = 0;

	test_case(t, "the value of every decimal");
	for (uint32_t c = 0; c < N - 10; c++)
		for (int i = 0; zero[c] && i < 10; i++, n++)
			wrong += unicode_decimal_value(c + (uint32_t)i) != i;
	CHECK_MSG(t, wrong == 0 && n >= 660, "%zu wrong of %zu", wrong, n);
	CHECK(t, unicode_decimal_value('a') == -1 && unicode_decimal_value(0xB2) == -1);
	mem_free(zero);
}

static void strips(struct test *t)
{
	static const char padded[] = "\xC2\xA0\x1C \xE3\x80\x80\xE2\x80\x8B x\xE2\x80\x8B \xC2\x85\xE2\x80\xA8";
	const char *s = padded, *bad = "\xA0x\xA0";
	size_t n = strlen(padded);

	test_case(t, "strip: no-break and ideographic spaces go, a space of no width stays");
	unicode_strip(&s, &n);
	CHECK(t, n == 8 && !memcmp(s, "\xE2\x80\x8B x\xE2\x80\x8B", 8));
	n = 3;
	unicode_strip(&bad, &n);
	CHECK_MSG(t, n == 3, "half a character is no space");
	s = "\xC2\xA0 \x85";
	n = 3;
	unicode_strip(&s, &n);
	CHECK_MSG(t, n == 0 || n == 1, "%zu", n);
	n = 0;
	unicode_strip(&s, &n);
	CHECK(t, n == 0);
	test_case(t, "identifiers; an empty text is printable and nothing else");
	CHECK(t, unicode_text_is_identifier("_a1", 3) && !unicode_text_is_identifier("1a", 2) &&
	                 !unicode_text_is_identifier("a-b", 3) && unicode_text_is_identifier("\xC3\xA9", 2));
	CHECK(t, unicode_all("", 0, unicode_is_printable) && !unicode_all("", 0, unicode_is_space) &&
	                 !unicode_text_is_identifier("", 0));
	test_case(t, "bytes that are no character stay");
	struct buf out = BUF_INIT;
	unicode_recase(&out, "a\xFF" "b\xC3", 4, UNICODE_UPPER);
	CHECK(t, !strcmp(buf_str(&out), "A\xFF" "B\xC3"));
	buf_release(&out);
}

void test_base_unicode(struct test *t)
{
	struct err e = ERR_INIT;
	char *path = mem_printf("%s/values/unicode.json", test_golden());
	json_t *golden = jsonx_load_file(path, &e);
	const json_t *row;
	size_t i;

	test_case(t, "the golden file");
	CHECK_MSG(t, golden != NULL, "%s", e.msg);
	mem_free(path);
	if (!golden)
		return;
	uint8_t *assigned = members(json_object_get(golden, "assigned"));
	properties(t, golden, assigned);
	cases(t, golden, assigned);
	decimals(t, golden);
	json_array_foreach(json_object_get(golden, "texts"), i, row)
		check_text(t, row);
	strips(t);
	mem_free(assigned);
	json_decref(golden);
}
