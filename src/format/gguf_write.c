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

int gguf_write(const char *path, const struct gguf_meta *meta, const struct gguf_tensor *tensors, size_t n,
               void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e)
{
	struct io_writer w;
	struct buf header = BUF_INIT;
	size_t largest = 0;
	void *scratch = NULL;

	for (size_t i = 0; i < n; i++)
		largest = MAX(largest, ROUND_UP(tensors[i].bytes, ALIGNMENT));
	if (largest && mem_map(&scratch, largest, "a tensor to be written", e) < 0)
		return -1;
	make_header(&header, meta, tensors, n);
	int status = io_writer_open(&w, path, e);
	if (status < 0)
		goto out;
	status = io_writer_add(&w, header.data, header.len, e);
	for (size_t i = 0; i < n && status == 0; i++) {
		size_t padded = ROUND_UP(tensors[i].bytes, ALIGNMENT);
		if (!padded)
			continue;
		memset((char *)scratch + tensors[i].bytes, 0, padded - tensors[i].bytes);
		fill(ctx, i, scratch);
		status = io_writer_add(&w, scratch, padded, e);
	}
	if (status < 0 || (status = io_writer_commit(&w, e)) < 0)
		io_writer_abort(&w);
out:
	buf_release(&header);
	mem_unmap(scratch, largest);
	return status;
}
