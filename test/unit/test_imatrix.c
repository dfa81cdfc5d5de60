/* test_imatrix: what is written is read as the same means, a column where nothing came along counts 1, the older form
 * is read, and damage is a sentence with the entry's name. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "format/imatrix.h"

static void test_round(struct test *t)
{
	double sum[6] = { 2, 4, 6, 8, 0, 0 }, count[2] = { 2, 0 }, one[2] = { 3, 5 }, four = 4;
	struct imatrix_sums s[2] = { { "blk.1.b", one, &four, 1, 2 }, { "blk.0.a", sum, count, 2, 3 } };
	char *path = mem_printf("%s/i.gguf", test_tmp());
	struct imatrix m;
	struct err e = ERR_INIT;

	test_case(t, "written and read");
	CHECK(t, imatrix_write(path, s, 2, &(struct imatrix_about){ "text", 7, 512 }, &e) == 0);
	CHECK_MSG(t, imatrix_open(&m, path, &e) == 0, "%s", e.msg);
	CHECK(t, m.n == 2 && m.chunks == 7 && !strcmp(m.dataset, "text"));
	const struct imatrix_entry *a = imatrix_find(&m, "blk.0.a"), *b = imatrix_find(&m, "blk.1.b");
	CHECK(t, a && a->n == 6 && a->mean[0] == 1 && a->mean[2] == 3);
	CHECK(t, a && a->mean[3] == 1 && a->mean[5] == 1);   /* no row came to the second expert */
	CHECK(t, b && b->n == 2 && b->mean[1] == 1.25f && !imatrix_find(&m, "blk.0"));
	imatrix_close(&m);
	mem_free(path);
}

static void add_u32(struct buf *b, uint32_t x) { buf_add(b, &x, sizeof(x)); }

static void test_old(struct test *t)
{
	static const float values[2] = { 4, 6 };
	struct buf b = BUF_INIT;
	struct imatrix m;
	struct err e = ERR_INIT;

	add_u32(&b, 1);
	add_u32(&b, 3);
	buf_adds(&b, "w.x");
	add_u32(&b, 2);
	add_u32(&b, 2);
	buf_add(&b, values, sizeof(values));
	size_t entries = b.len;
	add_u32(&b, 9);
	add_u32(&b, 1);
	buf_adds(&b, "t");
	test_case(t, "the older form, with the name of its text and without");
	CHECK(t, imatrix_parse(&m, b.data, b.len, "i.dat", &e) == 0 && m.chunks == 9 && !strcmp(m.dataset, "t"));
	CHECK(t, m.n == 1 && m.entry[0].mean[0] == 2 && m.entry[0].mean[1] == 3);
	imatrix_close(&m);
	CHECK(t, imatrix_parse(&m, b.data, entries, "i.dat", &e) == 0 && !m.dataset);
	imatrix_close(&m);
	test_case(t, "cut anywhere it is refused");
	for (size_t n = 0; n < entries; n++)
		CHECK(t, imatrix_parse(&m, b.data, n, "i.dat", &e) < 0 && strstr(e.msg, "i.dat"));
	memcpy(b.data + entries - sizeof(float), &(float){ INFINITY }, sizeof(float));
	CHECK(t, imatrix_parse(&m, b.data, b.len, "i.dat", &e) < 0 && strstr(e.msg, "'w.x' has a mean"));
	buf_release(&b);
}

void test_imatrix(struct test *t);
void test_imatrix(struct test *t)
{
	test_round(t);
	test_old(t);
}
