/* test_tensorboard: event files as TensorBoard's own writer makes them, and what a resumed run keeps of one. */
#include "../test.h"

#include <stdint.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "train/tensorboard.h"

static json_t *line_of(int step, double loss)
{
	return json_pack("{s:i, s:f, s:n}", "step", step, "loss", loss, "grad_norm");
}

/* tensorboard 2.20's RecordWriter: step 3, train/loss 1.5, wall time 2. */
static const unsigned char theirs[] = {
	0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x29, 0xed, 0xa9, 0x50, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00,
	0x00, 0x00, 0x40, 0x10, 0x03, 0x2a, 0x13, 0x0a, 0x11, 0x0a, 0x0a, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c,
	0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0xc0, 0x3f, 0xf1, 0xbc, 0x52, 0x45,
};

static void test_bytes(struct test *t)
{
	struct buf b = BUF_INIT;
	json_t *line = line_of(3, 1.5);

	test_case(t, "a record is TensorBoard's, byte for byte; null is left out");
	tensorboard_record(&b, line, 2);
	CHECK(t, b.len == sizeof(theirs) && !memcmp(b.data, theirs, sizeof(theirs)));
	json_decref(line);
	buf_release(&b);
}

static void put(struct test *t, struct tensorboard *tb, int step)
{
	struct err e = ERR_INIT;
	json_t *line = line_of(step, step);
	CHECK_MSG(t, tensorboard_line(tb, line, &e) == 0, "%s", e.msg);
	json_decref(line);
}

static void test_resume(struct test *t)
{
	struct err e = ERR_INIT;
	struct tensorboard tb;
	size_t version, two, size = 0;

	test_case(t, "a torn record and those after a checkpoint are cut off, and no more");
	CHECK(t, tensorboard_open(&tb, test_tmp(), 0, &e) == 0);
	version = tb.bytes;
	put(t, &tb, 1);
	put(t, &tb, 2);
	two = tb.bytes;
	put(t, &tb, 3);
	CHECK(t, io_append(tb.path, theirs, sizeof(theirs) - 1, &e) == 0);
	tensorboard_release(&tb);
	CHECK(t, tensorboard_open(&tb, test_tmp(), SIZE_MAX, &e) == 0 && tb.bytes == two + (two - version) / 2);
	tensorboard_release(&tb);
	CHECK(t, tensorboard_open(&tb, test_tmp(), two, &e) == 0 && tb.bytes == two);
	CHECK(t, io_size(tb.path, &size, &e) == 0 && size == two);
	tensorboard_release(&tb);
	CHECK(t, tensorboard_open(&tb, test_tmp(), 0, &e) == 0 && tb.bytes == version);
	tensorboard_release(&tb);
}

void test_tensorboard(struct test *t)
{
	test_bytes(t);
	test_resume(t);
}
