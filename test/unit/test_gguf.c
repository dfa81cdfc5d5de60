/* test_gguf: what is written comes back, and every lie in a header is met by a sentence. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fixture_gguf.h"
#include "format/gguf.h"

/* A file with every kind of value and two tensors. */
static void make_file(struct buf *out)
{
	static const char *const words[] = { "a", "", "longer" };
	static const int32_t numbers[] = { -1, 0, 7 };
	static const float w[64] = { 1, 2, 3 };
	struct gguf_fixture f = { 0 };
	fixture_str(&f, "general.architecture", "llama");
	fixture_u32(&f, "x.u32", 4000000000u);
	fixture_f32(&f, "x.f32", 0.5f);
	fixture_bool(&f, "x.bool", true);
	fixture_raw(&f, "x.u8", GGUF_U8, "\xff", 1);
	fixture_raw(&f, "x.i8", GGUF_I8, "\xff", 1);
	fixture_raw(&f, "x.i16", GGUF_I16, "\xfe\xff", 2);
	fixture_raw(&f, "x.u64", GGUF_U64, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	fixture_raw(&f, "x.i64", GGUF_I64, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
	fixture_raw(&f, "x.zero", GGUF_STRING, "\3\0\0\0\0\0\0\0a\0b", 11);
	fixture_strings(&f, "x.words", words, 3);
	fixture_i32s(&f, "x.numbers", numbers, 3);
	fixture_floats(&f, "first", 2, (uint64_t[]){ 32, 2 }, DTYPE_Q4_0, w);
	fixture_floats(&f, "second", 1, (uint64_t[]){ 5 }, DTYPE_F32, w);
	fixture_finish(&f, out);
}

/* The bytes in memory of exactly their size, so that a sanitizer sees a read beyond them. */
static int parse_copy(struct gguf *g, const char *data, size_t n, void **copy, struct err *e)
{
	*copy = mem_alloc(n);
	memcpy(*copy, data, n);
	return gguf_parse(g, *copy, n, "tiny.gguf", e);
}

static void check_refused(struct test *t, const struct buf *b, const char *words)
{
	struct gguf g;
	struct err e = ERR_INIT;
	void *copy;
	int rc = parse_copy(&g, buf_str(b), b->len, &copy, &e);
	CHECK_MSG(t, rc == -1 && strstr(e.msg, words) && strstr(e.msg, "tiny.gguf"),
	          "wanted a sentence with '%s', got %d '%s'", words, rc, e.msg);
	if (rc == 0)
		gguf_close(&g);
	mem_free(copy);
}

static void test_values(struct test *t, const struct gguf *g)
{
	struct err e = ERR_INIT;
	int64_t i;
	double x;
	bool b;
	const char *s;
	CHECK(t, gguf_int(g, "x.u32", true, 0, &i, &e) == 0 && i == 4000000000);
	CHECK(t, gguf_int(g, "x.u8", true, 0, &i, &e) == 0 && i == 255);
	CHECK(t, gguf_int(g, "x.i8", true, 0, &i, &e) == 0 && i == -1);
	CHECK(t, gguf_int(g, "x.i16", true, 0, &i, &e) == 0 && i == -2);
	CHECK(t, gguf_int(g, "x.i64", true, 0, &i, &e) == 0 && i == -1);
	CHECK(t, gguf_int(g, "absent", false, 9, &i, &e) == 0 && i == 9);
	CHECK(t, gguf_int(g, "absent", true, 9, &i, &e) == -1 && strstr(e.msg, "'absent' is missing"));
	CHECK(t, gguf_int(g, "x.u64", true, 0, &i, &e) == -1 && strstr(e.msg, "far too much"));
	CHECK(t, gguf_int(g, "x.f32", true, 0, &i, &e) == -1 && strstr(e.msg, "of type f32"));
	CHECK(t, gguf_real(g, "x.f32", true, 0, &x, &e) == 0 && x == 0.5);
	CHECK(t, gguf_real(g, "absent", false, 2, &x, &e) == 0 && x == 2);
	CHECK(t, gguf_bool(g, "x.bool", true, false, &b, &e) == 0 && b);
	CHECK(t, gguf_str(g, "general.architecture", true, &s, &e) == 0 && !strcmp(s, "llama"));
	CHECK(t, gguf_str(g, "absent", false, &s, &e) == 0 && !s);
	CHECK(t, gguf_str(g, "x.zero", true, &s, &e) == -1 && strstr(e.msg, "zero byte"));
}

static void test_arrays(struct test *t, const struct gguf *g)
{
	const struct gguf_kv *kv = gguf_find(g, "x.words");
	CHECK(t, kv && kv->type == GGUF_ARRAY && kv->item_type == GGUF_STRING && kv->n_items == 3);
	const struct gguf_string *s = kv->items;
	CHECK(t, s[0].len == 1 && s[1].len == 0 && s[2].len == 6 && !memcmp(s[2].data, "longer", 6));
	kv = gguf_find(g, "x.numbers");
	int32_t n[3];
	CHECK(t, kv && kv->item_type == GGUF_I32 && kv->n_items == 3);
	memcpy(n, kv->items, sizeof(n));
	CHECK(t, n[0] == -1 && n[2] == 7);
}

static void test_reads(struct test *t)
{
	struct buf b = BUF_INIT;
	struct gguf g;
	struct err e = ERR_INIT;
	make_file(&b);
	test_case(t, "values, arrays and tensors come back");
	CHECK_MSG(t, gguf_parse(&g, b.data, b.len, "tiny.gguf", &e) == 0, "%s", e.msg);
	test_values(t, &g);
	test_arrays(t, &g);
	const struct gguf_tensor *x = gguf_find_tensor(&g, "first"), *y = gguf_find_tensor(&g, "second");
	CHECK(t, x && x->dtype == DTYPE_Q4_0 && x->n_dims == 2 && x->dim[0] == 32 && x->dim[1] == 2 && x->bytes == 36 &&
	                 x->offset % 32 == 0);
	CHECK(t, y && y->dtype == DTYPE_F32 && y->n_dims == 1 && y->dim[0] == 5 && y->bytes == 20 &&
	                 !gguf_find_tensor(&g, "third"));
	float w[5];
	memcpy(w, g.data + y->offset, sizeof(w));
	CHECK(t, w[0] == 1 && w[1] == 2 && w[2] == 3 && w[4] == 0);
	gguf_close(&g);

	test_case(t, "version 2, another alignment, no tensors");
	b.data[4] = 2;
	CHECK(t, gguf_parse(&g, b.data, b.len, "tiny.gguf", &e) == 0 && g.version == 2);
	gguf_close(&g);
	struct gguf_fixture f = { .alignment = 64 };
	buf_clear(&b);
	fixture_floats(&f, "a", 1, (uint64_t[]){ 1 }, DTYPE_F32, (float[]){ 4 });
	fixture_floats(&f, "b", 1, (uint64_t[]){ 1 }, DTYPE_F32, (float[]){ 5 });
	fixture_finish(&f, &b);
	CHECK(t,
	      gguf_parse(&g, b.data, b.len, "tiny.gguf", &e) == 0 && g.tensors[1].offset == g.tensors[0].offset + 64);
	gguf_close(&g);
	buf_clear(&b);
	fixture_str(&f, "general.architecture", "llama");
	fixture_finish(&f, &b);
	CHECK(t, gguf_parse(&g, b.data, b.len, "tiny.gguf", &e) == 0 && g.n_tensors == 0 && g.n_kv == 1);
	gguf_close(&g);
	buf_release(&b);
}

static void test_file(struct test *t)
{
	struct buf b = BUF_INIT;
	struct gguf g;
	struct err e = ERR_INIT;
	char path[300];
	test_case(t, "a file on disk, and none");
	snprintf(path, sizeof(path), "%s/llama.gguf", test_tmp());
	fixture_llama(&b, DTYPE_Q4_0, true, 1);
	CHECK(t, io_write(path, b.data, b.len, &e) == 0);
	CHECK_MSG(t, gguf_open(&g, path, &e) == 0, "%s", e.msg);
	CHECK(t, g.n_tensors == 20 && gguf_find_tensor(&g, "blk.1.ffn_down.weight"));
	gguf_close(&g);
	CHECK(t, gguf_open(&g, "/nonexistent", &e) == -1 && strstr(e.msg, "/nonexistent"));
	CHECK(t, io_write(path, "", 0, &e) == 0 && gguf_open(&g, path, &e) == -1 && strstr(e.msg, "an empty file"));
	buf_release(&b);
}

static void put_u64(char *p, uint64_t x)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char)(x >> 8 * i);
}

static void test_header(struct test *t)
{
	struct buf b = BUF_INIT;
	make_file(&b);
	test_case(t, "the header's lies");
	char saved[24];
	memcpy(saved, b.data, sizeof(saved));
	b.data[0] = 'g';
	check_refused(t, &b, "not a GGUF file");
	memcpy(b.data, saved, sizeof(saved));
	b.data[4] = 1;
	check_refused(t, &b, "version 1");
	memcpy(b.data + 4, "\0\0\0\3", 4);
	check_refused(t, &b, "big-endian");
	memcpy(b.data, saved, sizeof(saved));
	put_u64(b.data + 8, UINT64_MAX / 32 + 2);
	check_refused(t, &b, "tensors, the");
	memcpy(b.data, saved, sizeof(saved));
	put_u64(b.data + 16, UINT64_MAX);
	check_refused(t, &b, "keys and");
	memcpy(b.data, saved, sizeof(saved));
	put_u64(b.data + 24, UINT64_MAX - 7);
	check_refused(t, &b, "says it has 18446744073709551608 bytes");
	buf_release(&b);
}

/* A file with one key of the given value. */
static void check_value(struct test *t, const char *key, uint32_t type, const char *value, size_t n, const char *words)
{
	struct gguf_fixture f = { 0 };
	struct buf b = BUF_INIT;
	fixture_raw(&f, key, type, value, n);
	fixture_finish(&f, &b);
	check_refused(t, &b, words);
	buf_release(&b);
}

static void test_values_refused(struct test *t)
{
	test_case(t, "values that cannot be");
	check_value(t, "k", 13, "", 0, "type 13");
	check_value(t, "k", GGUF_BOOL, "\2", 1, "truth value of 2");
	check_value(t, "k", GGUF_ARRAY, "\15\0\0\0\1\0\0\0\0\0\0\0", 12, "array of type 13");
	check_value(t, "k", GGUF_ARRAY, "\11\0\0\0\1\0\0\0\0\0\0\0", 12, "array of arrays");
	check_value(t, "k", GGUF_ARRAY, "\4\0\0\0\377\377\377\377\377\377\377\377", 12,
	            "array of 18446744073709551615 items");
	check_value(t, "k", GGUF_ARRAY, "\10\0\0\0\1\0\0\0\0\0\0\0\377\377\377\377\377\377\377\177", 20,
	            "says it has 9223372036854775807 bytes");
	check_value(t, "k", GGUF_U64, "\1", 1, "inside key 'k'");
	check_value(t, "", GGUF_U8, "\1", 1, "1 to 65535 were wanted");
	check_value(t, "a\nb", GGUF_U8, "\1", 1, "control byte 10");
	check_value(t, "a\xff", GGUF_U8, "\1", 1, "not UTF-8");
	check_value(t, "general.alignment", GGUF_U32, "\30\0\0\0", 4, "alignment is 24");
	check_value(t, "general.alignment", GGUF_U32, "\0\0\0\0", 4, "alignment is 0");
	check_value(t, "general.alignment", GGUF_U32, "\4\0\0\0", 4, "alignment is 4");
	check_value(t, "general.alignment", GGUF_U64, "\40\0\0\0\0\0\0\0", 8, "type u64");
	struct gguf_fixture f = { 0 };
	struct buf b = BUF_INIT;
	fixture_u32(&f, "same", 1);
	fixture_u32(&f, "other", 1);
	fixture_u32(&f, "same", 2);
	fixture_finish(&f, &b);
	check_refused(t, &b, "'same' is there twice");
	buf_release(&b);
}

/* A file with one good tensor of 64 numbers, and one as described. */
static void check_tensor(struct test *t, const char *name, int n_dims, const uint64_t *dim, uint32_t type,
                         uint64_t offset, const char *words)
{
	static const float w[64];
	struct gguf_fixture f = { 0 };
	struct buf b = BUF_INIT;
	fixture_tensor(&f, name, n_dims, dim, DTYPE_F32, w, sizeof(w));
	for (int i = 0; i < 4; i++)
		f.info.data[f.info.len - 12 + (size_t)i] = (char)(type >> 8 * i);
	put_u64(f.info.data + f.info.len - 8, offset);
	fixture_tensor(&f, "good", 1, (uint64_t[]){ 64 }, DTYPE_F32, w, sizeof(w));
	fixture_finish(&f, &b);
	check_refused(t, &b, words);
	buf_release(&b);
}

static void test_tensors_refused(struct test *t)
{
	static const uint64_t fits[] = { 64 }, zero[] = { 64, 0 }, five[] = { 1, 1, 1, 1, 1 },
			      wraps[] = { 1ull << 32, 1ull << 32 };
	static const uint64_t bytes_wrap[] = { 1ull << 62 }, huge[] = { 1ull << 40 }, odd[] = { 40, 2 },
			      width[] = { 576, 1 };
	test_case(t, "tensors that cannot be");
	check_tensor(t, "good", 1, fits, 0, 0, "'good' is there twice");
	check_tensor(t, "bad\1", 1, fits, 0, 0, "control byte 1");
	check_tensor(t, "bad", 0, fits, 0, 0, "0 dimensions");
	check_tensor(t, "bad", 5, five, 0, 0, "5 dimensions");
	check_tensor(t, "bad", 2, zero, 0, 0, "dimension of 0");
	check_tensor(t, "bad", 2, wraps, 0, 0, "no address can count");
	check_tensor(t, "bad", 1, bytes_wrap, 0, 0, "no address can count");
	check_tensor(t, "bad", 1, huge, 0, 0, "does not lie inside");
	check_tensor(t, "bad", 1, fits, 0, 8, "no multiple of 32");
	check_tensor(t, "bad", 1, fits, 0, 1ull << 40, "does not lie inside");
	check_tensor(t, "bad", 1, fits, 0, UINT64_MAX - 31, "does not lie inside");
	check_tensor(t, "bad", 1, fits, 0, 256 + 32, "does not lie inside");
	check_tensor(t, "bad", 1, fits, 0, 256, "overlap");
	check_tensor(t, "bad", 1, fits, 0, 224, "overlap");
	check_tensor(t, "bad", 1, fits, 15, 0, "'bad' is stored as type 15 (Q8_K), which no weight of a model has");
	check_tensor(t, "bad", 1, fits, 4000000000u, 0, "type 4000000000 (unknown)");
	check_tensor(t, "bad", 2, odd, 2, 0, "no multiple of Q4_0's block of 32");
	check_tensor(t, "bad", 2, width, 14, 0, "576 numbers, no multiple of Q6_K's block of 256");
}

static void test_broken(struct test *t)
{
	struct buf b = BUF_INIT;
	struct gguf g;
	struct rng_stream r = { 5 };
	void *copy;
	make_file(&b);
	test_case(t, "cut at every byte");
	for (size_t n = 0; n < b.len; n++) {
		struct err e = ERR_INIT;
		CHECK_MSG(t, parse_copy(&g, b.data, n, &copy, &e) == -1 && e.msg[0], "accepted with %zu of %zu bytes",
		          n, b.len);
		mem_free(copy);
	}
	test_case(t, "bits flipped: accepted or refused with a sentence");
	for (int i = 0; i < 20000; i++) {
		struct err e = ERR_INIT;
		size_t at = rng_below(&r, (uint32_t)b.len);
		char was = b.data[at];
		b.data[at] = (char)(was ^ 1 << rng_below(&r, 8));
		int rc = parse_copy(&g, b.data, b.len, &copy, &e);
		CHECK(t, rc == 0 || e.msg[0]);
		for (size_t k = 0; rc == 0 && k < g.n_tensors; k++)
			CHECK(t, g.tensors[k].offset + g.tensors[k].bytes <= b.len);
		if (rc == 0)
			gguf_close(&g);
		mem_free(copy);
		b.data[at] = was;
	}
	buf_release(&b);
}

void test_gguf(struct test *t)
{
	test_reads(t);
	test_file(t);
	test_header(t);
	test_values_refused(t);
	test_tensors_refused(t);
	test_broken(t);
}
