/* gguf_write: a GGUF file from its keys and tensors, in the order in which they were added; gguf.c says what the
 * file is. Little-endian machines only, as everything here. */
#include "format/gguf_write.h"

#include <string.h>

#include "base/mem.h"

enum { VERSION = 3, ALIGNMENT = 32 };

static void add_u32(struct buf *b, uint32_t x) { buf_add(b, &x, sizeof(x)); }
static void add_u64(struct buf *b, uint64_t x) { buf_add(b, &x, sizeof(x)); }

static void add_string(struct buf *b, const char *s)
{
	add_u64(b, strlen(s));
	buf_adds(b, s);
}

static void add_key(struct gguf_meta *m, const char *key, enum gguf_type type)
{
	add_string(&m->bytes, key);
	add_u32(&m->bytes, type);
	m->n++;
}

void gguf_put_str(struct gguf_meta *m, const char *key, const char *value)
{
	add_key(m, key, GGUF_STRING);
	add_string(&m->bytes, value);
}

void gguf_put_u32(struct gguf_meta *m, const char *key, uint32_t value)
{
	add_key(m, key, GGUF_U32);
	add_u32(&m->bytes, value);
}

void gguf_put_f32(struct gguf_meta *m, const char *key, float value)
{
	add_key(m, key, GGUF_F32);
	buf_add(&m->bytes, &value, sizeof(value));
}

void gguf_put_i32(struct gguf_meta *m, const char *key, int32_t value)
{
	add_key(m, key, GGUF_I32);
	buf_add(&m->bytes, &value, sizeof(value));
}

void gguf_put_bool(struct gguf_meta *m, const char *key, bool value)
{
	add_key(m, key, GGUF_BOOL);
	buf_addc(&m->bytes, (char)value);
}

static void add_strings(struct buf *b, const struct gguf_string *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		add_u64(b, list[i].len);
		buf_add(b, list[i].data, list[i].len);
	}
}

static void add_list(struct gguf_meta *m, const char *key, enum gguf_type type, size_t n)
{
	add_key(m, key, GGUF_ARRAY);
	add_u32(&m->bytes, type);
	add_u64(&m->bytes, n);
}

void gguf_put_strings(struct gguf_meta *m, const char *key, const struct gguf_string *list, size_t n)
{
	add_list(m, key, GGUF_STRING, n);
	add_strings(&m->bytes, list, n);
}

static size_t type_size(enum gguf_type type)
{
	switch (type) {
	case GGUF_U8: case GGUF_I8: case GGUF_BOOL: return 1;
	case GGUF_U16: case GGUF_I16: return 2;
	case GGUF_U32: case GGUF_I32: case GGUF_F32: return 4;
	case GGUF_U64: case GGUF_I64: case GGUF_F64: return 8;
	case GGUF_STRING: case GGUF_ARRAY: break;
	}
	BUG("the size of GGUF's type %d", (int)type);
}

void gguf_put_numbers(struct gguf_meta *m, const char *key, enum gguf_type type, const void *list, size_t n)
{
	add_list(m, key, type, n);
	buf_add(&m->bytes, list, n * type_size(type));
}

void gguf_put_kv(struct gguf_meta *m, const struct gguf_kv *kv)
{
	if (kv->type == GGUF_ARRAY && kv->item_type == GGUF_STRING) {
		gguf_put_strings(m, kv->key, kv->items, kv->n_items);
		return;
	}
	if (kv->type == GGUF_ARRAY) {
		gguf_put_numbers(m, kv->key, kv->item_type, kv->items, kv->n_items);
		return;
	}
	add_key(m, kv->key, kv->type);
	if (kv->type == GGUF_STRING) {
		add_strings(&m->bytes, &kv->value.s, 1);
	} else if (kv->type == GGUF_F32) {
		float x = (float)kv->value.f;
		buf_add(&m->bytes, &x, sizeof(x));
	} else if (kv->type == GGUF_BOOL) {
		buf_addc(&m->bytes, (char)kv->value.b);
	} else { /* little-endian: the first bytes of the widest */
		buf_add(&m->bytes, &kv->value, type_size(kv->type));
	}
}

static void pad(struct buf *b)
{
	while (b->len % ALIGNMENT)
		buf_addc(b, 0);
}

static void make_header(struct buf *out, const struct gguf_meta *meta, const struct gguf_tensor *tensors, size_t n)
{
	uint64_t offset = 0;
	buf_adds(out, "GGUF");
	add_u32(out, VERSION);
	add_u64(out, n);
	add_u64(out, meta->n);
	buf_add(out, meta->bytes.data, meta->bytes.len);
	for (size_t i = 0; i < n; i++) {
		add_string(out, tensors[i].name);
		add_u32(out, (uint32_t)tensors[i].n_dims);
		for (int d = 0; d < tensors[i].n_dims; d++)
			add_u64(out, tensors[i].dim[d]);
		add_u32(out, (uint32_t)dtypes[tensors[i].dtype].gguf);
		add_u64(out, offset);
		offset = ROUND_UP(offset + tensors[i].bytes, ALIGNMENT);
	}
	pad(out);
}

int gguf_writer_open(struct io_writer *w, const char *path, const struct gguf_meta *meta,
                     const struct gguf_tensor *tensors, size_t n, struct err *e)
{
	struct buf header = BUF_INIT;

	make_header(&header, meta, tensors, n);
	int status = io_writer_open(w, path, e);
	if (status == 0 && (status = io_writer_add(w, header.data, header.len, e)) < 0)
		io_writer_abort(w);
	buf_release(&header);
	return status;
}

int gguf_writer_pad(struct io_writer *w, const struct gguf_tensor *t, struct err *e)
{
	static const char zeros[ALIGNMENT];

	return io_writer_add(w, zeros, ROUND_UP(t->bytes, ALIGNMENT) - t->bytes, e);
}

static int write_tensors(struct io_writer *w, const struct gguf_tensor *tensors, size_t n, void *scratch,
                         void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (!tensors[i].bytes)
			continue;
		fill(ctx, i, scratch);
		if (io_writer_add(w, scratch, tensors[i].bytes, e) < 0 || gguf_writer_pad(w, &tensors[i], e) < 0)
			return -1;
	}
	return 0;
}

int gguf_write(const char *path, const struct gguf_meta *meta, const struct gguf_tensor *tensors, size_t n,
               void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e)
{
	struct io_writer w;
	size_t largest = 0;
	void *scratch = NULL;

	for (size_t i = 0; i < n; i++)
		largest = MAX(largest, tensors[i].bytes);
	if (largest && mem_map(&scratch, largest, "a tensor to be written", e) < 0)
		return -1;
	int status = gguf_writer_open(&w, path, meta, tensors, n, e);
	if (status == 0) {
		status = write_tensors(&w, tensors, n, scratch, fill, ctx, e);
		status = io_writer_end(&w, status, e);
	}
	mem_unmap(scratch, largest);
	return status;
}

int gguf_preview(struct gguf *g, struct buf *bytes, const struct gguf_meta *meta, struct gguf_tensor *tensors, size_t n,
                 const char *path, struct err *e)
{
	make_header(bytes, meta, NULL, 0);
	if (gguf_parse(g, bytes->data, bytes->len, path, e) < 0)
		return -1;
	g->tensors = tensors;
	g->n_tensors = n;
	if (gguf_sort_names(g, e) == 0)
		return 0;
	gguf_close(g);
	return -1;
}
