/* Errors, buffers, arenas, cursors, numbers as people read them, hashes, time: the small things. */
#include "../test.h"

#include <setjmp.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/cursor.h"
#include "base/env.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/human.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/text.h"

static void errors(struct test *t)
{
	struct err e = ERR_INIT;
	char big[3000];
	test_case(t, "a sentence and its prefix");
	CHECK(t, err_set(&e, "cannot open %s", "x") == -1);
	CHECK(t, err_prefix(&e, "line %d", 3) == -1);
	CHECK_MSG(t, strcmp(e.msg, "line 3: cannot open x") == 0, "%s", e.msg);
	CHECK(t, err_set(NULL, "nobody asks") == -1 && err_prefix(NULL, "still") == -1);
	test_case(t, "a sentence too long is cut");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	err_set(&e, "%s", big);
	CHECK(t, strlen(e.msg) == sizeof(e.msg) - 1);
	err_prefix(&e, "%s", big);
	CHECK(t, strlen(e.msg) == sizeof(e.msg) - 1);
}

/* What a format says of numbers. */
static void says(struct test *t, const char *want, const char *fmt, ...)
{
	char out[400], cut[8];
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = sentence_vformat(out, sizeof(out), fmt, ap);
	CHECK_MSG(t, strcmp(out, want) == 0 && n == (int)strlen(want), "'%s' for '%s', which is '%s'", out, fmt, want);
	CHECK(t, sentence_vformat(cut, sizeof(cut), fmt, again) == n && strlen(cut) == MIN((size_t)n, sizeof(cut) - 1));
	CHECK_MSG(t, strncmp(cut, want, sizeof(cut) - 1) == 0, "cut to '%s'", cut);
	va_end(again);
	va_end(ap);
}

static void sentences(struct test *t)
{
	char *big = mem_alloc(3001);
	test_case(t, "words agree with their numbers");
	says(t, "1 row", "%zu rows", (size_t)1);
	says(t, "0 rows, 2 rows, 11 rows, 21 rows", "%d rows, %d rows, %d rows, %d rows", 0, 2, 11, 21);
	says(t, "x: 1 entry, 1 matrix, 1 index, 1 class, 1 batch, 1 size",
	     "%s: %d entries, %u matrices, %lld indexes, %ld classes, %d batches, %d sizes", "x", 1, 1u, 1ll, 1l, 1, 1);
	says(t, "1 new token; 2 new tokens", "%d new tokens; %d new tokens", 1, 2);
	says(t, "1 file is left out, 2 files are left out", "%d files are left out, %d files are left out", 1, 2);
	says(t, "of 1 row 1 was cut, 2 were not", "of %d rows %d were cut, %d were not", 1, 1, 2);
	says(t, "1 of 3 rows is cut, 2 of 1 row are", "%d of %d rows are cut, %d of %d rows are", 1, 3, 2, 1);
	says(t, "2 bytes of 1 document are no UTF-8", "%d bytes of %d documents are no UTF-8", 2, 1);
	says(t, "1 file (1 of them is no text), 1 text that has none",
	     "%d files (%d of them are no text), %d texts that have none", 1, 1, 1);
	says(t, "there is 1 row, there are 2 rows, the 1 row has an answer",
	     "there are %d rows, there are %d rows, all %d rows have an answer", 1, 2, 1);
	says(t, "1 token/s", "%s tokens/s", "1");
	test_case(t, "a place counts nothing, nor does a part of a number or of a name");
	says(t, "line 1 names rows, row 1 repeats row 2", "line %d names rows, row %d repeats row %d", 1, 1, 2);
	says(t, "1.00 tokens, 1e+06 rows, 2.1 rows, step 1 of 1 step",
	     "%.2f tokens, %.0e rows, %d.%d rows, step %d of %d steps", 1.0, 1e6, 2, 1, 1, 1);
	says(t, "1 row: 1 rows", "%d rows: %s", 1, "1 rows");
	test_case(t, "all else is printf's");
	says(t,
	     "  1 rows|1  rows|+1|0x1f|100 %|ab|(nil)|c|1.50|7|-1 rows|18446744073709551615 rows|9223372036854775807|  "
	     "ab|1.2|x",
	     "%3d rows|%-3drows|%+d|%#x|%d %%|%.*s|%p|%c|%.*f|%ju|%d rows|%zu rows|%lld|%*s|%*.*f|%s", 1, 1, 1, 31, 100,
	     2, "abc", (void *)NULL, 'c', 2, 1.5, (uintmax_t)7, -1, SIZE_MAX, INT64_MAX, 4, "ab", 3, 1, 1.2, "x");
	memset(big, 'b', 3000);
	big[3000] = 0;
	struct buf b = BUF_INIT;
	sentence_add(&b, "%s of %d rows", big, 1);
	CHECK(t, b.len == 3000 + strlen(" of 1 row") && memcmp(b.data + 2999, "b of 1 row", 10) == 0);
	buf_release(&b);
	mem_free(big);
}

static void buffers(struct test *t)
{
	struct buf b = BUF_INIT, small = { .max = 10 };
	size_t n;
	test_case(t, "buf grows and stays a string");
	CHECK(t, strcmp(buf_str(&b), "") == 0);
	for (int i = 0; i < 1000; i++)
		buf_addf(&b, "%d,", i);
	CHECK(t, b.len == 3890 && strlen(buf_str(&b)) == b.len && strncmp(b.data, "0,1,2,", 6) == 0);
	buf_clear(&b);
	CHECK(t, b.len == 0 && b.data[0] == 0);
	buf_adds(&b, "ab");
	buf_addc(&b, 'c');
	buf_add(&b, NULL, 0);
	char *s = buf_detach(&b, &n);
	CHECK(t, n == 3 && strcmp(s, "abc") == 0 && !b.data && !b.len);
	mem_free(s);
	s = buf_detach(&b, NULL);
	CHECK(t, strcmp(s, "") == 0);
	mem_free(s);
	test_case(t, "buf keeps its bound");
	buf_adds(&small, "0123456789");
	CHECK(t, !small.overflow && small.len == 10);
	buf_addc(&small, 'x');
	CHECK(t, small.overflow && small.len == 10);
	buf_clear(&small);
	buf_addf(&small, "%s", "01234567890");
	CHECK(t, small.overflow && small.len == 0);
	buf_release(&small);
	CHECK(t, small.max == 10 && !small.data);
	buf_release(&b);
}

static void leave(void *out) { longjmp(*(jmp_buf *)out, 1); }

/* Blocks in any order grow, shrink and go; what is held is counted and never more than the limit. */
static void arena_blocks(struct test *t)
{
	jmp_buf out;
	struct arena a = { .limit = 64 << 10, .full = leave, .who = &out };
	char *block[3] = { NULL };
	volatile size_t asked = 1000;

	test_case(t, "arena: blocks and a limit");
	for (size_t i = 0; i < 9; i++) {
		block[i % 3] = arena_resize(&a, block[i % 3], 100 * (i + 1));
		memset(block[i % 3], 'a' + (int)(i % 3), 100 * (i + 1));
	}
	block[1] = arena_resize(&a, block[1], 10);
	CHECK(t, block[0][699] == 'a' && block[1][9] == 'b' && block[2][899] == 'c');
	block[1] = arena_resize(&a, block[1], 0);
	CHECK(t, !block[1] && a.held >= 1600 && a.held < 2000);
	if (!setjmp(out)) {
		for (;; asked *= 2)
			block[0] = arena_resize(&a, block[0], asked);
	}
	CHECK_MSG(t, asked == 128000 && a.held <= a.limit, "%zu asked, %zu held", asked, a.held);
	block[0] = arena_resize(&a, block[0], 0);
	if (!setjmp(out)) {
		for (asked = 0; asked < 1000; asked++)
			arena_alloc(&a, 1000);
	}
	CHECK_MSG(t, asked > 10 && asked < 64 && a.held <= a.limit, "%zu taken, %zu held", asked, a.held);
	arena_release(&a);
	CHECK(t, a.held == 0 && a.limit == 64 << 10 && arena_alloc(&a, 1000));
	arena_release(&a);
}

static void arenas(struct test *t)
{
	struct arena a = ARENA_INIT;
	bool zeroed = true, aligned = true;
	test_case(t, "arena: zeroed, aligned, stable");
	char *first = arena_strdup(&a, "first");
	for (size_t i = 0; i < 2000; i++) {
		unsigned char *p = i % 3 ? arena_alloc(&a, i) : arena_alloc64(&a, i);
		aligned &= (uintptr_t)p % (i % 3 ? 16 : 64) == 0;
		for (size_t j = 0; j < i; j++)
			zeroed &= p[j] == 0;
		memset(p, 0xEE, i);
	}
	CHECK(t, zeroed && aligned && strcmp(first, "first") == 0 && a.total_bytes >= 1999u * 2000 / 2);
	CHECK(t, strcmp(arena_printf(&a, "%d-%s", 7, "x"), "7-x") == 0);
	CHECK(t, strcmp(arena_strndup(&a, "abcdef", 3), "abc") == 0 && strcmp(arena_strndup(&a, "ab", 9), "ab") == 0);
	CHECK(t, arena_array(&a, 3 << 20, 4) != NULL);
	arena_release(&a);
	CHECK(t, !a.head && !a.total_bytes && arena_alloc(&a, 1));
	arena_release(&a);
}

static void cursors(struct test *t)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0x80, 0x3f, 10 };
	struct cursor c = cursor_make(bytes, sizeof(bytes));
	test_case(t, "cursor: little endian, sticky error");
	CHECK(t, cursor_u8(&c) == 1 && cursor_u16(&c) == 0x0302 && cursor_u32(&c) == 0x07060504);
	CHECK(t, cursor_left(&c) == 7 && memcmp(cursor_bytes(&c, 2), bytes + 7, 2) == 0);
	CHECK(t, cursor_f32(&c) == 1.0f && !c.failed);
	CHECK(t, cursor_u16(&c) == 0 && c.failed && cursor_left(&c) == 0);
	CHECK(t, cursor_u8(&c) == 0 && cursor_bytes(&c, 0) == NULL);
	c = cursor_make(bytes, sizeof(bytes));
	CHECK(t, cursor_bytes(&c, SIZE_MAX) == NULL && c.failed);
	c = cursor_make(NULL, 0);
	CHECK(t, cursor_bytes(&c, 0) != NULL && cursor_u64(&c) == 0 && c.failed && cursor_f64(&c) == 0);
}

static void numbers(struct test *t)
{
	static const struct { size_t bytes; const char *text;
	} sizes[] = {
		{ 0, "0 bytes" },        { 999, "999 bytes" },      { 1000, "1 kB" },
		{ 93000000, "93 MB" },   { 1250000000, "1.25 GB" }, { 999600, "1 MB" },
		{ 12345678, "12.3 MB" }, { 123456789, "123 MB" },   { SIZE_MAX, "18.4 EB" },
	};
	static const struct { double n; const char *text;
	} counts[] = {
		{ 7, "7" },        { 999.6, "1k" },  { 134515008, "134.5M" }, { 2.1e12, "2.1T" },
		{ 1.5e9, "1.5B" }, { -3000, "-3k" }, { NAN, "nan" },
	};
	static const struct { const char *text; size_t bytes;
	} good[] = {
		{ "123", 123 },           { "2G", 2000000000 },   { "2GB", 2000000000 },
		{ "1.5GiB", 1610612736 }, { "800MB", 800000000 }, { "1 KiB", 1024 },
		{ "3k", 3000 },           { "10b", 10 },          { "0", 0 },
	};
	static const char *const bad[] = { "",      "G",     "-1",  "1X",           "0x10",  "inf",
		                           "1.2.3", "1GiBs", "1e3", "99999999999G", "1 GB x" };
	char out[32];
	test_case(t, "bytes as people read them");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		CHECK_MSG(t, strcmp(human_bytes(sizes[i].bytes, out), sizes[i].text) == 0, "%zu: %s", sizes[i].bytes,
		          out);
	test_case(t, "counts as people read them");
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		CHECK_MSG(t, strcmp(human_count(counts[i].n, out), counts[i].text) == 0, "%g: %s", counts[i].n, out);
	test_case(t, "bytes as people write them");
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		size_t n = 1;
		CHECK_MSG(t, human_parse_bytes(good[i].text, &n) == 0 && n == good[i].bytes, "%s: %zu", good[i].text,
		          n);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		size_t n;
		CHECK_MSG(t, human_parse_bytes(bad[i], &n) == -1, "%s was taken", bad[i]);
	}
}

static void hashes(struct test *t)
{
	/* Values of xxhsum -H2 of xxHash's own command. */
	char hex[33], parts[33];
	test_case(t, "XXH3-128");
	hash_hex("", 0, hex);
	CHECK_MSG(t, strcmp(hex, "99aa06d3014798d86001c324468d497f") == 0, "%s", hex);
	char data[5000];
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	hash_hex(data, sizeof(data), hex);
	struct hash_stream *h = hash_begin();
	hash_add(h, data, 17);
	hash_add(h, data + 17, sizeof(data) - 17);
	hash_end(h, parts);
	CHECK(t, strcmp(hex, parts) == 0 && hash_64(data, 10) != hash_64(data, 11));
}

static void times(struct test *t)
{
	static const struct { double s; const char *text;
	} cases[] = {
		{ 0, "0.0 s" },         { 12.2, "12 s" }, { 59.6, "1 min 00 s" }, { 200, "3 min 20 s" },
		{ 3900, "1 h 05 min" }, { -1, "?" },      { NAN, "?" },
	};
	char out[32];
	test_case(t, "durations");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		clock_human(cases[i].s, out);
		CHECK_MSG(t, strcmp(out, cases[i].text) == 0, "%g: %s", cases[i].s, out);
	}
	test_case(t, "clocks go forward");
	double a = clock_seconds(), c = clock_cpu_seconds();
	for (volatile int i = 0; i < 1000000; i++)
		;
	CHECK(t, clock_seconds() > a && clock_cpu_seconds() > c);
	clock_iso(out);
	CHECK_MSG(t, strlen(out) == 20 && out[10] == 'T' && out[19] == 'Z', "%s", out);
	CHECK(t, env_get("KUNGFU_NO_SUCH_THING") == NULL);
}

static void endings(struct test *t)
{
	static const struct { const char *s, *end; bool ends; size_t stem; } cases[] = {
		{ "a.gguf", ".gguf", true, 1 }, { ".gguf", ".gguf", true, 0 }, { "a.gguf2", ".gguf", false, 0 },
		{ "f", ".gguf", false, 0 },     { "", "", true, 0 },           { "name", "", true, 4 },
	};

	test_case(t, "how a string ends, and what is before that");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_MSG(t, text_ends(cases[i].s, cases[i].end) == cases[i].ends &&
		                     text_stem(cases[i].s, cases[i].end) == cases[i].stem, "%s", cases[i].s);
}

void test_base_text(struct test *t)
{
	errors(t);
	sentences(t);
	buffers(t);
	arenas(t);
	arena_blocks(t);
	cursors(t);
	numbers(t);
	hashes(t);
	times(t);
	endings(t);
}
