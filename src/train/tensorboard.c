/* tensorboard: writes TFRecords of Event messages (tensorflow/core/util/event.proto, framework/summary.proto), by hand:
 *
 *     record  = length u64, mask(crc32c(length)) u32, data, mask(crc32c(data)) u32          little-endian
 *     mask(c) = rotate_right(c, 15) + 0xa282ead8
 *     Event   = 1: wall_time f64, 2: step i64, 3: file_version "brain.Event:2" | 5: Summary
 *     Summary = 1: Value, repeated;  Value = 1: tag, 2: simple_value f32
 *
 * A field is its number and wire type as a varint (number << 3 | type; 0 varint, 1 eight bytes, 2 length and bytes,
 * 5 four bytes), then its value. A kill leaves at most a record without its end, which readers wait for and
 * tensorboard_open cuts off. */
#include "train/tensorboard.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

enum { VARINT = 0, EIGHT = 1, BYTES = 2, FOUR = 5 };
enum { HEAD = 12, TAIL = 4 };          /* bytes of a record around its data */

/* --- TFRecord --- */

/* Castagnoli's polynomial, bits reversed. */
static uint32_t crc32c(const void *data, size_t n)
{
	const unsigned char *bytes = data;
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (0x82f63b78u & -(crc & 1));
	}
	return ~crc;
}

static uint32_t masked(const void *data, size_t n)
{
	uint32_t c = crc32c(data, n);
	return (c >> 15 | c << 17) + 0xa282ead8u;
}

static void add_little(struct buf *b, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_addc(b, (char)(value >> 8 * i & 0xff));
}

static uint64_t get_little(const char *from, int bytes)
{
	uint64_t value = 0;
	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)(unsigned char)from[i] << 8 * i;
	return value;
}

static void add_framed(struct buf *out, const struct buf *data)
{
	size_t at = out->len;

	add_little(out, data->len, 8);
	add_little(out, masked(out->data + at, 8), 4);
	buf_add(out, data->data, data->len);
	add_little(out, masked(data->data, data->len), 4);
}

/* Bytes of the whole records that begin a file, no more than `limit`. */
static size_t whole_records(const struct buf *file, size_t limit)
{
	size_t at = 0, n = MIN(file->len, limit);

	while (n - at >= HEAD + TAIL) {
		const char *head = file->data + at;
		uint64_t length = get_little(head, 8);
		if (get_little(head + 8, 4) != masked(head, 8) || length > n - at - HEAD - TAIL ||
		    get_little(head + HEAD + length, 4) != masked(head + HEAD, (size_t)length))
			break;
		at += HEAD + (size_t)length + TAIL;
	}
	return at;
}

/* --- protocol buffers --- */

static void add_varint(struct buf *b, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		buf_addc(b, (char)((value & 0x7f) | 0x80));
	buf_addc(b, (char)value);
}

static void add_key(struct buf *b, unsigned field, unsigned type) { add_varint(b, field << 3 | type); }

static void add_bytes(struct buf *b, unsigned field, const void *data, size_t n)
{
	add_key(b, field, BYTES);
	add_varint(b, n);
	buf_add(b, data, n);
}

static void add_double(struct buf *b, unsigned field, double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof(bits));
	add_key(b, field, EIGHT);
	add_little(b, bits, 8);
}

static void add_float(struct buf *b, unsigned field, float x)
{
	uint32_t bits;
	memcpy(&bits, &x, sizeof(bits));
	add_key(b, field, FOUR);
	add_little(b, bits, 4);
}

/* --- events --- */

static void add_value(struct buf *summary, const char *name, double value)
{
	bool eval = !strncmp(name, "eval_", 5);
	char *tag = mem_printf("%s/%s", eval ? "eval" : "train", eval ? name + 5 : name);
	struct buf one = BUF_INIT;

	add_bytes(&one, 1, tag, strlen(tag));
	add_float(&one, 2, (float)value);
	add_bytes(summary, 1, one.data, one.len);
	buf_release(&one);
	mem_free(tag);
}

void tensorboard_record(struct buf *out, const json_t *line, double wall_seconds)
{
	struct buf event = BUF_INIT, summary = BUF_INIT;
	bool step = json_object_get(line, "loss") != NULL; /* the epoch is said once a step */
	const char *name;
	json_t *value;

	add_double(&event, 1, wall_seconds);
	add_key(&event, 2, VARINT);
	add_varint(&event, (uint64_t)json_integer_value(json_object_get(line, "step")));
	json_object_foreach((json_t *)(uintptr_t)line, name, value)
		if (strcmp(name, "step") != 0 && (step || strcmp(name, "epoch") != 0) && json_is_number(value))
			add_value(&summary, name, json_number_value(value));
	add_bytes(&event, 5, buf_str(&summary), summary.len);
	add_framed(out, &event);
	buf_release(&event);
	buf_release(&summary);
}

static int append(struct tensorboard *t, const struct buf *record, struct err *e)
{
	if (io_append(t->path, record->data, record->len, e) < 0)
		return -1;
	t->bytes += record->len;
	return 0;
}

static int put_version(struct tensorboard *t, struct err *e)
{
	static const char version[] = "brain.Event:2";
	struct buf event = BUF_INIT, record = BUF_INIT;

	add_double(&event, 1, clock_wall_seconds());
	add_bytes(&event, 3, version, strlen(version));
	add_framed(&record, &event);
	int status = append(t, &record, e);
	buf_release(&event);
	buf_release(&record);
	return status;
}

int tensorboard_open(struct tensorboard *t, const char *dir, size_t keep, struct err *e)
{
	struct buf file = BUF_INIT;
	int status = 0;

	*t = (struct tensorboard){ .path = io_join(dir, TENSORBOARD_FILE) };
	if (io_exists(t->path))
		status = io_read(&file, t->path, e);
	t->bytes = status ? 0 : whole_records(&file, keep);
	if (!status && t->bytes < file.len)
		status = io_truncate(t->path, t->bytes, e);
	buf_release(&file);
	return status ? status : t->bytes ? 0 : put_version(t, e);
}

int tensorboard_line(struct tensorboard *t, const json_t *line, struct err *e)
{
	struct buf record = BUF_INIT;

	tensorboard_record(&record, line, clock_wall_seconds());
	int status = append(t, &record, e);
	buf_release(&record);
	return status;
}

void tensorboard_release(struct tensorboard *t)
{
	mem_free(t->path);
	*t = (struct tensorboard){ 0 };
}
