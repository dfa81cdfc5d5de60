/* safetensors: a header length u64, a header of JSON, the tensors' bytes back to back.
 *
 *     {"__metadata__": {"format": "pt"}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}
 *
 * Source: the README of the format's repository. Offsets count from the end of the header. Reading is strict: what the
 * header says must cover the file to its last byte, once. A tensor of a dtype that this program does not compute with
 * (a mask of truth values beside the weights) is listed with dtype DTYPE_COUNT and its name, so that only using it is
 * an error. Where a file's header has an odd length, tensors would lie at odd addresses; those are copied to aligned
 * memory. */
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/text.h"

enum { HEADER_MAX = 100000000, HEADER_ALIGN = 8, ALIGN_MAX = 8 };

/* The format's dtypes beyond ours, with their bits. */
static const struct { const char *name; size_t bits;
} foreign[] = {
	{ "BOOL", 8 },    { "I8", 8 },      { "I16", 16 },    { "U16", 16 },        { "U32", 32 },
	{ "I64", 64 },    { "U64", 64 },    { "C64", 64 },         { "F8_E8M0", 8 },     { "F4", 4 },
	{ "F6_E2M3", 6 }, { "F6_E3M2", 6 }, { "F8_E4M3FNUZ", 8 }, { "F8_E5M2FNUZ", 8 },
};

struct reader {
	struct safetensors *s;
	const uint8_t *data;  /* after the header */
	size_t size;
	const char *where;
	struct err *e;
};

/* Bits of one number; 0 for a name that the format does not have. */
static size_t read_dtype(const char *name, enum dtype *dtype)
{
	int own = dtype_from_safetensors(name);
	*dtype = DTYPE_COUNT;
	if (own >= 0) {
		*dtype = own;
		return 8 * dtypes[own].bytes;
	}
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (!strcmp(foreign[i].name, name))
			return foreign[i].bits;
	return 0;
}

/* A list of n integers, none negative. */
static int read_sizes(const json_t *list, size_t n, size_t *out)
{
	if (!json_is_array(list) || json_array_size(list) != n)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_array_get(list, i);
		if (!json_is_integer(item) || json_integer_value(item) < 0)
			return -1;
		out[i] = (size_t)json_integer_value(item);
	}
	return 0;
}

static int check_bytes(struct reader *r, const struct st_tensor *t, size_t bits)
{
	size_t numbers = 1, total;
	for (int i = 0; i < t->n_dims; i++)
		if (!size_mul(numbers, t->dim[i], &numbers))
			return err_set(r->e, "%s: tensor '%.80s' has a shape whose product no address can count",
			               r->where, t->name);
	if (!size_mul(numbers, bits, &total))
		return err_set(r->e, "%s: tensor '%.80s' has a shape whose product no address can count", r->where,
		               t->name);
	if (total % 8 || total / 8 != t->bytes)
		return err_set(r->e, "%s: tensor '%.80s' has %zu bytes by its offsets, its shape and dtype %s want %zu",
		               r->where, t->name, t->bytes, t->dtype_name, (total + 7) / 8);
	return 0;
}

static int check_name(struct reader *r, const char *name)
{
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return err_set(r->e, "%s: a tensor's name holds the control byte %d", r->where, *p);
	return *name ? 0 : err_set(r->e, "%s: a tensor's name is empty", r->where);
}

static int read_tensor(struct reader *r, const char *name, const json_t *j, struct st_tensor *t)
{
	const json_t *shape = json_object_get(j, "shape");
	const char *dtype = json_string_value(json_object_get(j, "dtype"));
	size_t offsets[2];
	if (check_name(r, name) < 0)
		return -1;
	t->name = arena_strdup(&r->s->mem, name);
	if (!dtype || read_sizes(json_object_get(j, "data_offsets"), 2, offsets) < 0 || !json_is_array(shape))
		return err_set(r->e, "%s: tensor '%.80s' has no proper dtype, shape and data_offsets", r->where, name);
	size_t n = json_array_size(shape), bits = read_dtype(dtype, &t->dtype);
	if (!bits)
		return err_set(r->e, "%s: tensor '%.80s' has dtype '%.20s', which the format does not know", r->where,
		               name, dtype);
	if (n > ARRAY_LEN(t->dim))
		return err_set(r->e, "%s: tensor '%.80s' has %zu dimensions, at most 4 were wanted", r->where, name, n);
	t->dtype_name = arena_strdup(&r->s->mem, dtype);
	t->n_dims = (int)n;
	if (read_sizes(shape, n, t->dim) < 0)
		return err_set(r->e, "%s: tensor '%.80s' has a shape that is no list of sizes", r->where, name);
	if (offsets[0] > offsets[1] || offsets[1] > r->size)
		return err_set(r->e, "%s: tensor '%.80s' lies at bytes %zu to %zu, the file has %zu after its header",
		               r->where, name, offsets[0], offsets[1], r->size);
	t->data = r->data + offsets[0];
	t->bytes = offsets[1] - offsets[0];
	return check_bytes(r, t, bits);
}

static int read_meta(struct reader *r, const json_t *j)
{
	const char *key;
	json_t *value;
	if (!json_is_object(j))
		return err_set(r->e, "%s: __metadata__ is not an object", r->where);
	r->s->meta = arena_array(&r->s->mem, json_object_size(j), sizeof(*r->s->meta));
	json_object_foreach((json_t *)j, key, value) {
		if (!json_is_string(value))
			return err_set(r->e, "%s: __metadata__ holds more than strings, at '%.80s'", r->where, key);
		r->s->meta[r->s->n_meta++] = (struct st_meta){ arena_strdup(&r->s->mem, key),
			                                       arena_strdup(&r->s->mem, json_string_value(value)) };
	}
	return 0;
}

static int data_order(const void *a, const void *b)
{
	const struct st_tensor *x = a, *y = b;
	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	if (x->bytes != y->bytes) /* an empty tensor lies before the one that begins where it does */
		return x->bytes < y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int name_order(const void *a, const void *b)
{
	return strcmp((*(const struct st_tensor *const *)a)->name, (*(const struct st_tensor *const *)b)->name);
}

static int check_cover(struct reader *r)
{
	struct safetensors *s = r->s;
	const uint8_t *end = r->data;
	qsort(s->tensors, s->n_tensors, sizeof(*s->tensors), data_order);
	for (size_t i = 0; i < s->n_tensors; i++) {
		const struct st_tensor *t = &s->tensors[i];
		if ((const uint8_t *)t->data != end)
			return err_set(r->e, "%s: tensor '%.80s' begins at byte %zu of the data, %s", r->where, t->name,
			               (size_t)((const uint8_t *)t->data - r->data),
			               (const uint8_t *)t->data < end ? "inside the tensor before it" : "after a gap");
		end += t->bytes;
	}
	size_t covered = (size_t)(end - r->data);
	if (covered != r->size)
		return err_set(r->e, "%s: %zu bytes of data, the header accounts for %zu", r->where, r->size, covered);
	return 0;
}

static void sort_names(struct safetensors *s)
{
	s->by_name = arena_array(&s->mem, s->n_tensors, sizeof(*s->by_name));
	for (size_t i = 0; i < s->n_tensors; i++)
		s->by_name[i] = &s->tensors[i];
	if (s->n_tensors)
		qsort(s->by_name, s->n_tensors, sizeof(*s->by_name), name_order);
}

bool st_is_aligned(const struct st_tensor *t)
{
	size_t need = t->dtype == DTYPE_COUNT ? ALIGN_MAX : dtypes[t->dtype].bytes;

	return t->bytes == 0 || (uintptr_t)t->data % need == 0;
}

static void align_tensors(struct safetensors *s)
{
	for (size_t i = 0; i < s->n_tensors; i++) {
		struct st_tensor *t = &s->tensors[i];
		if (st_is_aligned(t))
			continue;
		void *copy = arena_alloc(&s->mem, t->bytes);
		memcpy(copy, t->data, t->bytes);
		t->data = copy;
	}
}

int st_sort(struct safetensors *s, struct err *e)
{
	align_tensors(s);
	sort_names(s);
	for (size_t i = 1; i < s->n_tensors; i++)
		if (!strcmp(s->by_name[i - 1]->name, s->by_name[i]->name))
			return err_set(e, "%s: tensor '%.80s' is there twice", s->path, s->by_name[i]->name);
	return 0;
}

static int read_header(struct reader *r, const json_t *j)
{
	struct safetensors *s = r->s;
	const char *key;
	json_t *value;
	s->tensors = arena_array(&s->mem, json_object_size(j), sizeof(*s->tensors));
	json_object_foreach((json_t *)j, key, value) {
		bool meta = !strcmp(key, "__metadata__");
		if ((meta ? read_meta(r, value) : read_tensor(r, key, value, &s->tensors[s->n_tensors++])) < 0)
			return -1;
	}
	if (check_cover(r) < 0)
		return -1;
	return st_sort(s, r->e);
}

static int parse(struct safetensors *s, const uint8_t *data, size_t size, const char *where, struct err *e)
{
	struct cursor c = cursor_make(data, size);
	uint64_t n = cursor_u64(&c);
	if (text_instead(data, size))
		return err_set(e, "%s is %s", where, text_instead(data, size));
	if (c.failed)
		return err_set(e, "%s: %zu bytes are no safetensors file, which begins with a length of 8 bytes", where,
		               size);
	if (n > HEADER_MAX || n > cursor_left(&c))
		return err_set(e, "%s: the header says it has %llu bytes, %zu are left and at most %d are read", where,
		               (unsigned long long)n, cursor_left(&c), HEADER_MAX);
	const char *text = cursor_bytes(&c, n);
	if (n == 0 || text[0] != '{')
		return err_set(e, "%s: not a safetensors file: its header is no JSON object", where);
	json_t *j = jsonx_load(text, n, where, e);
	if (!j)
		return -1;
	struct reader r = { .s = s, .data = data + c.pos, .size = cursor_left(&c), .where = where, .e = e };
	int status = read_header(&r, j);
	json_decref(j);
	return status;
}

int st_parse(struct safetensors *s, const void *data, size_t size, const char *where, struct err *e)
{
	*s = (struct safetensors){ 0 };
	s->path = arena_strdup(&s->mem, where);
	if (parse(s, data, size, where, e) == 0)
		return 0;
	st_close(s);
	return -1;
}

int st_open(struct safetensors *s, const char *path, struct err *e)
{
	struct mapping map;
	*s = (struct safetensors){ 0 };
	if (io_map(&map, path, e) < 0)
		return -1;
	if (st_parse(s, map.data, map.size, path, e) < 0) {
		io_unmap(&map);
		return -1;
	}
	s->map = map;
	return 0;
}

void st_close(struct safetensors *s)
{
	io_unmap(&s->map);
	arena_release(&s->mem);
	*s = (struct safetensors){ 0 };
}

const struct st_tensor *st_find(const struct safetensors *s, const char *name)
{
	struct st_tensor wanted = { .name = name };
	const struct st_tensor *key = &wanted, **found = NULL;
	if (s->n_tensors)
		found = bsearch(&key, s->by_name, s->n_tensors, sizeof(key), name_order);
	return found ? *found : NULL;
}

static json_t *make_entry(const struct st_tensor *t, size_t offset)
{
	json_t *shape = json_array();
	size_t end = offset + t->bytes;
	for (int i = 0; i < t->n_dims; i++)
		json_array_append_new(shape, json_integer((json_int_t)t->dim[i]));
	return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtypes[t->dtype].safetensors, "shape", shape, "data_offsets",
	                 (json_int_t)offset, (json_int_t)end);
}

static int add_text(const char *text, size_t n, void *ctx)
{
	buf_add(ctx, text, n);
	return 0;
}

/* The length and the header, as the file begins. */
static void make_header(struct buf *out, const struct st_tensor *tensors, size_t n, const struct st_meta *meta,
                        size_t n_meta)
{
	json_t *j = json_object(), *m = json_object();
	size_t offset = 0;
	for (size_t i = 0; i < n_meta; i++)
		json_object_set_new(m, meta[i].key, json_string(meta[i].value));
	if (n_meta)
		json_object_set(j, "__metadata__", m);
	for (size_t i = 0; i < n; i++) {
		if (!dtypes[tensors[i].dtype].safetensors)
			BUG("tensor %s: safetensors has no %s", tensors[i].name, dtypes[tensors[i].dtype].name);
		json_object_set_new(j, tensors[i].name, make_entry(&tensors[i], offset));
		offset += tensors[i].bytes;
	}
	if (json_object_size(j) != n + (n_meta > 0))
		BUG("two tensors of one name, or a name that is not UTF-8");
	const uint8_t length[8] = { 0 };
	buf_add(out, length, sizeof(length));
	json_dump_callback(j, add_text, out, JSON_COMPACT);
	while (out->len % HEADER_ALIGN)
		buf_addc(out, ' ');
	for (size_t i = 0; i < sizeof(length); i++)
		out->data[i] = (char)((out->len - sizeof(length)) >> 8 * i);
	json_decref(m);
	json_decref(j);
}

int st_writer_open(struct io_writer *w, const char *path, const struct st_tensor *tensors, size_t n,
                   const struct st_meta *meta, size_t n_meta, struct err *e)
{
	struct buf header = BUF_INIT;
	make_header(&header, tensors, n, meta, n_meta);
	int status = io_writer_open(w, path, e);
	if (status == 0)
		status = io_writer_add(w, header.data, header.len, e);
	if (status < 0)
		io_writer_abort(w);
	buf_release(&header);
	return status;
}

int st_write(const char *path, const struct st_tensor *tensors, size_t n, const struct st_meta *meta, size_t n_meta,
             void (*fill)(void *ctx, size_t i, void *out), void *ctx, struct err *e)
{
	struct io_writer w;
	size_t largest = 0;
	void *scratch = NULL;
	for (size_t i = 0; i < n; i++)
		largest = MAX(largest, tensors[i].data ? 0 : tensors[i].bytes);
	if (largest && mem_map(&scratch, largest, "a tensor to be written", e) < 0)
		return -1;
	int status = st_writer_open(&w, path, tensors, n, meta, n_meta, e);
	if (status < 0)
		goto out;
	for (size_t i = 0; i < n && status == 0; i++) {
		const void *data = tensors[i].data;
		if (!data && tensors[i].bytes) {
			fill(ctx, i, scratch);
			data = scratch;
		}
		status = io_writer_add(&w, data, tensors[i].bytes, e);
	}
	status = io_writer_end(&w, status, e);
out:
	mem_unmap(scratch, largest);
	return status;
}
