/* imatrix: both forms in, GGUF out. See imatrix.h. */
#include "format/imatrix.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "format/gguf_write.h"

static const char sums_end[] = ".in_sum2", counts_end[] = ".counts";

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct imatrix_entry *)a)->name, ((const struct imatrix_entry *)b)->name);
}

static int check_entries(struct imatrix *m, const char *where, struct err *e)
{
	if (m->n == 0)
		return err_set(e, "%s: an importance matrix without an entry", where);
	qsort(m->entry, m->n, sizeof(*m->entry), by_name);
	for (size_t i = 0; i < m->n; i++) {
		const struct imatrix_entry *x = &m->entry[i];
		if (i && !strcmp(x->name, x[-1].name))
			return err_set(e, "%s: '%.80s' is there twice", where, x->name);
		for (size_t k = 0; k < x->n; k++)
			if (!isfinite(x->mean[k]) || x->mean[k] < 0)
				return err_set(e, "%s: '%.80s' has a mean of squares of %g", where, x->name,
				               (double)x->mean[k]);
	}
	return 0;
}

/* --- GGUF --- */

static float number_at(const struct gguf_tensor *t, size_t i)
{
	float x;

	memcpy(&x, t->data + i * sizeof(x), sizeof(x));
	return x;
}

static size_t numbers(const struct gguf_tensor *t)
{
	return t->bytes / sizeof(float);
}

/* Of sums and counts of `parts`; where nothing came along, all columns matter alike. */
static int take_entry(struct imatrix *m, const struct gguf *g, const struct gguf_tensor *sums, struct err *e)
{
	size_t stem = text_stem(sums->name, sums_end);
	struct imatrix_entry *x = &m->entry[m->n++];
	x->name = arena_strndup(&m->mem, sums->name, stem);
	char *name = arena_printf(&m->mem, "%s%s", x->name, counts_end);
	const struct gguf_tensor *counts = gguf_find_tensor(g, name);

	if (!counts)
		return err_set(e, "%s: '%.80s' has no counts", g->path, sums->name);
	if (sums->dtype != DTYPE_F32 || counts->dtype != DTYPE_F32)
		return err_set(e, "%s: '%.80s' is not stored as F32", g->path, sums->name);
	size_t n = numbers(sums), parts = numbers(counts);
	if (n % parts)
		return err_set(e, "%s: '%.80s' has %zu sums for %zu counts", g->path, x->name, n, parts);
	x->n = n;
	x->mean = arena_array(&m->mem, n, sizeof(float));
	for (size_t i = 0; i < n; i++) {
		float count = roundf(number_at(counts, i / (n / parts)));
		x->mean[i] = count > 0 ? number_at(sums, i) / count : 1;
	}
	return 0;
}

static int read_gguf(struct imatrix *m, const struct gguf *g, struct err *e)
{
	const struct gguf_kv *list = gguf_find(g, "imatrix.datasets");

	if (!list || !gguf_find(g, "imatrix.chunk_count") || !gguf_find(g, "imatrix.chunk_size"))
		return err_set(e, "%s: a GGUF file without imatrix.datasets, imatrix.chunk_count and "
		                  "imatrix.chunk_size is no importance matrix", g->path);
	if (gguf_int(g, "imatrix.chunk_count", true, 0, &m->chunks, e) < 0)
		return -1;
	if (list->type == GGUF_ARRAY && list->item_type == GGUF_STRING && list->n_items) {
		const struct gguf_string *s = list->items;
		m->dataset = arena_strndup(&m->mem, s->data, s->len);
	}
	m->entry = arena_array(&m->mem, g->n_tensors, sizeof(*m->entry));
	for (size_t i = 0; i < g->n_tensors; i++)
		if (text_stem(g->tensors[i].name, sums_end) && take_entry(m, g, &g->tensors[i], e) < 0)
			return -1;
	return check_entries(m, g->path, e);
}

/* --- .dat --- */

enum { ENTRY_MIN = 4 + 4 + 4 };

static int refuse(const char *where, size_t at, struct err *e)
{
	return err_set(e, "%s: neither GGUF nor llama.cpp's older form of an importance matrix: it breaks at byte %zu",
	               where, at);
}

static int take_old(struct imatrix *m, struct cursor *c, const char *where, struct err *e)
{
	struct imatrix_entry *x = &m->entry[m->n++];
	uint32_t length = cursor_u32(c);
	const void *name = length <= cursor_left(c) ? cursor_bytes(c, length) : NULL;

	if (c->failed || !name || !length || memchr(name, 0, length) || !utf8_valid(name, length, NULL))
		return refuse(where, c->pos, e);
	x->name = arena_strndup(&m->mem, name, length);
	int32_t calls = (int32_t)cursor_u32(c);
	uint32_t n = cursor_u32(c);
	if (c->failed || n < 1 || n > cursor_left(c) / sizeof(float))
		return refuse(where, c->pos, e);
	x->n = n;
	x->mean = arena_array(&m->mem, n, sizeof(float));
	for (uint32_t i = 0; i < n; i++)
		x->mean[i] = cursor_f32(c) / (calls > 0 ? (float)calls : 1);
	return 0;
}

static int read_old(struct imatrix *m, const void *data, size_t size, const char *where, struct err *e)
{
	struct cursor c = cursor_make(data, size);
	uint32_t n = cursor_u32(&c);

	if (c.failed || n < 1 || n > cursor_left(&c) / ENTRY_MIN)
		return refuse(where, c.pos, e);
	m->entry = arena_array(&m->mem, n, sizeof(*m->entry));
	for (uint32_t i = 0; i < n; i++)
		if (take_old(m, &c, where, e) < 0)
			return -1;
	if (cursor_left(&c) >= 8) { /* the rest was not always there */
		m->chunks = (int32_t)cursor_u32(&c);
		uint32_t length = cursor_u32(&c);
		if (length && length <= cursor_left(&c))
			m->dataset = arena_strndup(&m->mem, cursor_bytes(&c, length), length);
	}
	return check_entries(m, where, e);
}

/* --- the whole --- */

int imatrix_parse(struct imatrix *m, const void *data, size_t size, const char *where, struct err *e)
{
	struct gguf g;
	int status;

	*m = (struct imatrix){ 0 };
	if (size >= 4 && !memcmp(data, "GGUF", 4)) {
		status = gguf_parse(&g, data, size, where, e);
		if (status == 0) {
			status = read_gguf(m, &g, e);
			gguf_close(&g);
		}
	} else {
		status = read_old(m, data, size, where, e);
	}
	if (status < 0)
		imatrix_close(m);
	return status;
}

int imatrix_open(struct imatrix *m, const char *path, struct err *e)
{
	struct mapping map;

	*m = (struct imatrix){ 0 };
	if (io_map(&map, path, e) < 0)
		return -1;
	int status = imatrix_parse(m, map.data, map.size, path, e);
	io_unmap(&map);
	return status;
}

void imatrix_close(struct imatrix *m)
{
	arena_release(&m->mem);
	*m = (struct imatrix){ 0 };
}

const struct imatrix_entry *imatrix_find(const struct imatrix *m, const char *name)
{
	struct imatrix_entry key = { .name = name };

	return m->n ? bsearch(&key, m->entry, m->n, sizeof(key), by_name) : NULL;
}

/* --- writing --- */

static int by_sums_name(const void *a, const void *b)
{
	return strcmp((*(const struct imatrix_sums *const *)a)->name, (*(const struct imatrix_sums *const *)b)->name);
}

/* Tensor 2i: sums, 2i+1: counts. */
static void fill(void *ctx, size_t i, void *out)
{
	const struct imatrix_sums *s = ((const struct imatrix_sums **)ctx)[i / 2];
	float *x = out;

	for (size_t k = 0; i % 2 == 0 && k < s->parts * s->cols; k++)
		x[k] = (float)s->sum[k];
	for (size_t k = 0; i % 2 && k < s->parts; k++)
		x[k] = (float)s->count[k];
}

static void describe(struct arena *mem, const struct imatrix_sums *s, struct gguf_tensor *t)
{
	for (int i = 0; i < 2; i++) {
		size_t first = i ? 1 : s->cols;
		t[i] = (struct gguf_tensor){ .name = arena_printf(mem, "%s%s", s->name, i ? counts_end : sums_end),
			                     .n_dims = s->parts > 1 ? 2 : 1,
			                     .dtype = DTYPE_F32,
			                     .dim = { first, s->parts, 1, 1 },
			                     .bytes = first * s->parts * sizeof(float) };
	}
}

int imatrix_write(const char *path, const struct imatrix_sums *s, size_t n, const struct imatrix_about *about,
                  struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct gguf_meta meta = { 0 };
	struct gguf_tensor *t = arena_array(&mem, 2 * n, sizeof(*t));
	const struct imatrix_sums **order = arena_array(&mem, n, sizeof(*order));
	struct gguf_string dataset = { about->dataset, strlen(about->dataset) };

	for (size_t i = 0; i < n; i++)
		order[i] = &s[i];
	if (n)
		qsort(order, n, sizeof(*order), by_sums_name);
	for (size_t i = 0; i < n; i++)
		describe(&mem, order[i], t + 2 * i);
	gguf_put_str(&meta, "general.type", "imatrix");
	gguf_put_strings(&meta, "imatrix.datasets", &dataset, 1);
	gguf_put_u32(&meta, "imatrix.chunk_count", about->chunks);
	gguf_put_u32(&meta, "imatrix.chunk_size", about->chunk_size);
	int status = gguf_write(path, &meta, t, 2 * n, fill, order, e);
	buf_release(&meta.bytes);
	arena_release(&mem);
	return status;
}
