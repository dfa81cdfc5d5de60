/* gguf: reads the container of llama.cpp, all of its header at once, before anything in it is believed.
 *
 * The file is: magic, version u32, count of tensors u64, count of keys u64, the keys with their values, the
 * descriptions of the tensors, padding up to `general.alignment` (32 when absent), the tensors' bytes. A string is a
 * length u64 and bytes; an array is an item type u32, a count u64 and the items. Version 3 differs from 2 only in
 * allowing big endian, which is refused.
 *
 * A count is compared with the bytes that are left, divided by the smallest item, before memory is taken for it; every
 * product is checked before it is used. Arrays of arrays, which no model file has, are refused. Nothing is read from a
 * tensor's bytes here. */
#include "format/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"

enum {
	KV_MIN = 8 + 4 + 1,                   /* empty key, type, one byte */
	TENSOR_MIN = 8 + 4 + 8 + 4 + 8,       /* empty name, count of dims, one dim, type, offset */
	KEY_MAX = 65535, ALIGNMENT_INIT = 32, ALIGNMENT_MIN = 8,
};

static const struct { const char *name; size_t bytes;
} types[] = {
	/* bytes 0: not of fixed size */
	[GGUF_U8] = { "u8", 1 },       [GGUF_I8] = { "i8", 1 },     [GGUF_U16] = { "u16", 2 },
	[GGUF_I16] = { "i16", 2 },     [GGUF_U32] = { "u32", 4 },   [GGUF_I32] = { "i32", 4 },
	[GGUF_F32] = { "f32", 4 },     [GGUF_BOOL] = { "bool", 1 }, [GGUF_STRING] = { "string", 0 },
	[GGUF_ARRAY] = { "array", 0 }, [GGUF_U64] = { "u64", 8 },   [GGUF_I64] = { "i64", 8 },
	[GGUF_F64] = { "f64", 8 },
};

/* Names of ggml's types that are no weights of a model, for a sentence. */
static const char *const ggml_types[] = {
	[9] = "Q8_1", [15] = "Q8_K", [24] = "I8", [25] = "I16", [27] = "I64", [28] = "F64",
};

struct reader {
	struct gguf *g;
	struct cursor c;
	const char *where;
	struct err *e;
};

static int refuse_end(struct reader *r, const char *what)
{
	return err_set(r->e, "%s: the file ends at byte %zu inside %s", r->where, r->c.size, what);
}

static int read_string(struct reader *r, struct gguf_string *s, const char *what)
{
	size_t at = r->c.pos;
	uint64_t n = cursor_u64(&r->c);
	if (r->c.failed)
		return refuse_end(r, what);
	if (n > cursor_left(&r->c))
		return err_set(r->e, "%s: %s at byte %zu says it has %llu bytes, %zu are left", r->where, what, at,
		               (unsigned long long)n, cursor_left(&r->c));
	s->data = cursor_bytes(&r->c, n);
	s->len = n;
	return 0;
}

/* Keys and names are printed and compared as C strings, so they hold text only. */
static int read_name(struct reader *r, const char **name, const char *what)
{
	struct gguf_string s;
	size_t at = r->c.pos;
	if (read_string(r, &s, what) < 0)
		return -1;
	if (s.len == 0 || s.len > KEY_MAX)
		return err_set(r->e, "%s: %s at byte %zu has %zu bytes, 1 to %d were wanted", r->where, what, at, s.len,
		               KEY_MAX);
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f)
			return err_set(r->e, "%s: %s at byte %zu holds the control byte %d", r->where, what, at,
			               s.data[i]);
	if (!utf8_valid(s.data, s.len, NULL))
		return err_set(r->e, "%s: %s at byte %zu is not UTF-8", r->where, what, at);
	*name = arena_strndup(&r->g->mem, s.data, s.len);
	return 0;
}

static int read_bool(struct reader *r, bool *b)
{
	uint8_t x = cursor_u8(&r->c);
	if (x > 1)
		return err_set(r->e, "%s: byte %zu is a truth value of %d, 0 or 1 was wanted", r->where, r->c.pos - 1,
		               x);
	*b = x;
	return 0;
}

static int read_scalar(struct reader *r, struct gguf_kv *kv)
{
	struct cursor *c = &r->c;
	switch (kv->type) {
	case GGUF_U8: kv->value.u = cursor_u8(c); break;
	case GGUF_U16: kv->value.u = cursor_u16(c); break;
	case GGUF_U32: kv->value.u = cursor_u32(c); break;
	case GGUF_U64: kv->value.u = cursor_u64(c); break;
	case GGUF_I8: kv->value.i = (int8_t)cursor_u8(c); break;
	case GGUF_I16: kv->value.i = (int16_t)cursor_u16(c); break;
	case GGUF_I32: kv->value.i = (int32_t)cursor_u32(c); break;
	case GGUF_I64: kv->value.i = (int64_t)cursor_u64(c); break;
	case GGUF_F32: kv->value.f = (double)cursor_f32(c); break;
	case GGUF_F64: kv->value.f = cursor_f64(c); break;
	case GGUF_BOOL: return read_bool(r, &kv->value.b);
	case GGUF_STRING: return read_string(r, &kv->value.s, "a string");
	case GGUF_ARRAY: BUG("an array is no scalar");
	}
	return 0;
}

static int read_strings(struct reader *r, struct gguf_kv *kv)
{
	struct gguf_string *s = arena_array(&r->g->mem, kv->n_items, sizeof(*s));
	kv->items = s;
	for (size_t i = 0; i < kv->n_items; i++)
		if (read_string(r, &s[i], "a string of an array") < 0)
			return -1;
	return 0;
}

static int read_array(struct reader *r, struct gguf_kv *kv)
{
	uint32_t type = cursor_u32(&r->c);
	uint64_t n = cursor_u64(&r->c);
	if (r->c.failed)
		return refuse_end(r, "an array");
	if (type >= ARRAY_LEN(types))
		return err_set(r->e, "%s: key '%.80s' is an array of type %u, 0 to %zu were wanted", r->where, kv->key,
		               type, ARRAY_LEN(types) - 1);
	if (type == GGUF_ARRAY)
		return err_set(r->e, "%s: key '%.80s' is an array of arrays, which no model needs", r->where, kv->key);
	size_t item = type == GGUF_STRING ? 8 : types[type].bytes;
	if (n > cursor_left(&r->c) / item)
		return err_set(
			r->e, "%s: key '%.80s' is an array of %llu items of %s, the %zu bytes that are left hold fewer",
			r->where, kv->key, (unsigned long long)n, types[type].name, cursor_left(&r->c));
	kv->item_type = type;
	kv->n_items = n;
	if (type == GGUF_STRING)
		return read_strings(r, kv);
	kv->items = cursor_bytes(&r->c, n * item);
	return 0;
}

static int read_kv(struct reader *r, struct gguf_kv *kv)
{
	if (read_name(r, &kv->key, "a key") < 0)
		return -1;
	uint32_t type = cursor_u32(&r->c);
	if (r->c.failed)
		return refuse_end(r, "a key");
	if (type >= ARRAY_LEN(types))
		return err_set(r->e, "%s: key '%.80s' has a value of type %u, 0 to %zu were wanted", r->where, kv->key,
		               type, ARRAY_LEN(types) - 1);
	kv->type = type;
	if ((type == GGUF_ARRAY ? read_array(r, kv) : read_scalar(r, kv)) < 0)
		return -1;
	if (r->c.failed)
		return err_set(r->e, "%s: the file ends at byte %zu inside key '%.80s'", r->where, r->c.size, kv->key);
	return 0;
}

static int set_dtype(struct reader *r, struct gguf_tensor *t, uint32_t type)
{
	int dtype = dtype_from_gguf(type);
	if (dtype < 0) {
		const char *name = type < ARRAY_LEN(ggml_types) && ggml_types[type] ? ggml_types[type] : "unknown";
		return err_set(r->e, "%s: tensor '%.80s' is stored as type %u (%s), which no weight of a model has",
		               r->where, t->name, type, name);
	}
	t->dtype = dtype;
	return 0;
}

/* Bytes by the dimensions: blocks run along dim[0], so it is divided first, and every product is checked. */
static int set_bytes(struct reader *r, struct gguf_tensor *t)
{
	const struct dtype_info *d = &dtypes[t->dtype];
	if (t->dim[0] % d->block)
		return err_set(r->e, "%s: tensor '%.80s' has rows of %llu numbers, no multiple of %s's block of %u",
		               r->where, t->name, (unsigned long long)t->dim[0], d->name, d->block);
	size_t bytes = d->bytes, numbers = 1;
	bool ok = size_mul(bytes, t->dim[0] / d->block, &bytes);
	for (int i = 0; i < t->n_dims; i++) {
		ok = ok && size_mul(numbers, t->dim[i], &numbers);
		if (i)
			ok = ok && size_mul(bytes, t->dim[i], &bytes);
	}
	if (!ok)
		return err_set(r->e, "%s: tensor '%.80s' has dimensions whose product no address can count", r->where,
		               t->name);
	t->bytes = bytes;
	return 0;
}

static int read_tensor(struct reader *r, struct gguf_tensor *t)
{
	if (read_name(r, &t->name, "a tensor's name") < 0)
		return -1;
	uint32_t n = cursor_u32(&r->c);
	if (r->c.failed)
		return refuse_end(r, "a tensor's description");
	if (n < 1 || n > ARRAY_LEN(t->dim))
		return err_set(r->e, "%s: tensor '%.80s' has %u dimensions, 1 to 4 were wanted", r->where, t->name, n);
	t->n_dims = (int)n;
	for (uint32_t i = 0; i < ARRAY_LEN(t->dim); i++)
		t->dim[i] = i < n ? cursor_u64(&r->c) : 1;
	uint32_t type = cursor_u32(&r->c);
	t->offset = cursor_u64(&r->c);
	if (r->c.failed)
		return refuse_end(r, "a tensor's description");
	for (uint32_t i = 0; i < n; i++)
		if (t->dim[i] == 0)
			return err_set(r->e, "%s: tensor '%.80s' has a dimension of 0", r->where, t->name);
	return set_dtype(r, t, type) < 0 || set_bytes(r, t) < 0 ? -1 : 0;
}

static int read_counts(struct reader *r)
{
	struct gguf *g = r->g;
	const char *instead = text_instead(r->c.data, r->c.size);
	if (instead)
		return err_set(r->e, "%s is %s", r->where, instead);
	if (r->c.size < 4 || memcmp(r->c.data, "GGUF", 4) != 0)
		return err_set(r->e, "%s: not a GGUF file: it does not begin with \"GGUF\"", r->where);
	cursor_bytes(&r->c, 4);
	g->version = cursor_u32(&r->c);
	uint64_t n_tensors = cursor_u64(&r->c), n_kv = cursor_u64(&r->c);
	if (r->c.failed)
		return refuse_end(r, "its header");
	if (g->version == 0x02000000 || g->version == 0x03000000)
		return err_set(r->e, "%s: a big-endian GGUF file; little endian was wanted", r->where);
	if (g->version != 2 && g->version != 3)
		return err_set(r->e, "%s: GGUF version %u; 2 or 3 was wanted", r->where, g->version);
	size_t left = cursor_left(&r->c);
	if (n_kv > left / KV_MIN || n_tensors > left / TENSOR_MIN)
		return err_set(
			r->e,
			"%s: the header counts %llu keys and %llu tensors, the %zu bytes that are left hold fewer",
			r->where, (unsigned long long)n_kv, (unsigned long long)n_tensors, left);
	g->n_kv = n_kv;
	g->n_tensors = n_tensors;
	g->kv = arena_array(&g->mem, n_kv, sizeof(*g->kv));
	g->tensors = arena_array(&g->mem, n_tensors, sizeof(*g->tensors));
	return 0;
}

/* The alignment that the file asks for; tensors are read in place, so it is at least that of the widest number. */
static int read_alignment(struct reader *r, size_t *alignment)
{
	const struct gguf_kv *kv = gguf_find(r->g, "general.alignment");
	*alignment = ALIGNMENT_INIT;
	if (!kv)
		return 0;
	if (kv->type != GGUF_U32)
		return err_set(r->e, "%s: general.alignment is of type %s, u32 was wanted", r->where,
		               types[kv->type].name);
	*alignment = kv->value.u;
	if (*alignment < ALIGNMENT_MIN || *alignment & (*alignment - 1))
		return err_set(r->e, "%s: general.alignment is %zu, a power of two of at least %d was wanted", r->where,
		               *alignment, ALIGNMENT_MIN);
	return 0;
}

static int kv_order(const void *a, const void *b)
{
	return strcmp((*(const struct gguf_kv *const *)a)->key, (*(const struct gguf_kv *const *)b)->key);
}

static int name_order(const void *a, const void *b)
{
	return strcmp((*(const struct gguf_tensor *const *)a)->name, (*(const struct gguf_tensor *const *)b)->name);
}

static int offset_order(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a, *y = *(const struct gguf_tensor *const *)b;
	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int check_keys(struct reader *r)
{
	struct gguf *g = r->g;
	const struct gguf_kv **kv = arena_array(&g->mem, g->n_kv, sizeof(*kv));
	for (size_t i = 0; i < g->n_kv; i++)
		kv[i] = &g->kv[i];
	qsort(kv, g->n_kv, sizeof(*kv), kv_order);
	for (size_t i = 1; i < g->n_kv; i++)
		if (!strcmp(kv[i - 1]->key, kv[i]->key))
			return err_set(r->e, "%s: key '%.80s' is there twice", r->where, kv[i]->key);
	return 0;
}

/* Leaves offsets that count from the start of the file. */
static int place_tensors(struct reader *r, size_t alignment)
{
	struct gguf *g = r->g;
	size_t base = ROUND_UP(r->c.pos, alignment); /* an alignment is below 2^32, a file below 2^63: no wrap */
	if (g->n_tensors && base > g->size)
		return err_set(r->e, "%s: the file ends at byte %zu, before the tensors' bytes", r->where, g->size);
	for (size_t i = 0; i < g->n_tensors; i++) {
		struct gguf_tensor *t = &g->tensors[i];
		if (t->offset % alignment)
			return err_set(r->e, "%s: tensor '%.80s' begins at offset %zu, no multiple of %zu", r->where,
			               t->name, t->offset, alignment);
		if (t->offset > g->size - base || t->bytes > g->size - base - t->offset)
			return err_set(r->e,
			               "%s: tensor '%.80s' of %zu bytes at offset %zu does not lie inside the file, "
			               "whose tensors have %zu bytes",
			               r->where, t->name, t->bytes, t->offset, g->size - base);
		t->offset += base;
		t->data = g->data + t->offset;
	}
	return 0;
}

int gguf_sort_names(struct gguf *g, struct err *e)
{
	const struct gguf_tensor **t = arena_array(&g->mem, g->n_tensors, sizeof(*t));
	for (size_t i = 0; i < g->n_tensors; i++)
		t[i] = &g->tensors[i];
	if (g->n_tensors)
		qsort(t, g->n_tensors, sizeof(*t), name_order);
	for (size_t i = 1; i < g->n_tensors; i++)
		if (!strcmp(t[i - 1]->name, t[i]->name))
			return err_set(e, "%s: tensor '%.80s' is there twice", g->path, t[i]->name);
	g->by_name = t;
	return 0;
}

static int check_tensors(struct reader *r)
{
	struct gguf *g = r->g;
	const struct gguf_tensor **t = arena_array(&g->mem, g->n_tensors, sizeof(*t));
	for (size_t i = 0; i < g->n_tensors; i++)
		t[i] = &g->tensors[i];
	qsort(t, g->n_tensors, sizeof(*t), offset_order);
	for (size_t i = 1; i < g->n_tensors; i++)
		if (t[i - 1]->offset + t[i - 1]->bytes > t[i]->offset)
			return err_set(r->e, "%s: tensors '%.80s' and '%.80s' overlap", r->where, t[i - 1]->name,
			               t[i]->name);
	return gguf_sort_names(g, r->e);
}

static int parse(struct reader *r)
{
	size_t alignment;
	if (read_counts(r) < 0)
		return -1;
	for (size_t i = 0; i < r->g->n_kv; i++)
		if (read_kv(r, &r->g->kv[i]) < 0)
			return -1;
	for (size_t i = 0; i < r->g->n_tensors; i++)
		if (read_tensor(r, &r->g->tensors[i]) < 0)
			return -1;
	if (check_keys(r) < 0 || read_alignment(r, &alignment) < 0 || place_tensors(r, alignment) < 0)
		return -1;
	return check_tensors(r);
}

int gguf_parse(struct gguf *g, const void *data, size_t size, const char *where, struct err *e)
{
	*g = (struct gguf){ .data = data, .size = size };
	g->path = arena_strdup(&g->mem, where);
	struct reader r = { .g = g, .c = cursor_make(data, size), .where = g->path, .e = e };
	if (parse(&r) == 0)
		return 0;
	gguf_close(g);
	return -1;
}

int gguf_open_file(struct gguf *g, const char *path, struct err *e)
{
	struct mapping map;
	*g = (struct gguf){ 0 };
	if (io_map(&map, path, e) < 0)
		return -1;
	if (gguf_parse(g, map.data, map.size, path, e) < 0) {
		io_unmap(&map);
		return -1;
	}
	g->map = map;
	return 0;
}

int gguf_open(struct gguf *g, const char *path, struct err *e)
{
	if (gguf_open_file(g, path, e) < 0)
		return -1;
	if (gguf_open_parts(g, e) == 0)
		return 0;
	gguf_close(g);
	return -1;
}

void gguf_close(struct gguf *g)
{
	for (size_t i = 0; i < g->n_parts; i++)
		gguf_close(&g->parts[i]);
	io_unmap(&g->map);
	arena_release(&g->mem);
	*g = (struct gguf){ 0 };
}

const struct gguf_kv *gguf_find(const struct gguf *g, const char *key)
{
	for (size_t i = 0; i < g->n_kv; i++)
		if (!strcmp(g->kv[i].key, key))
			return &g->kv[i];
	return NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
	struct gguf_tensor wanted = { .name = name };
	const struct gguf_tensor *key = &wanted, **found = NULL;
	if (g->n_tensors)
		found = bsearch(&key, g->by_name, g->n_tensors, sizeof(key), name_order);
	return found ? *found : NULL;
}

static const struct gguf_kv *find(const struct gguf *g, const char *key, bool required, struct err *e, int *status)
{
	const struct gguf_kv *kv = gguf_find(g, key);
	*status = !kv && required ? err_set(e, "%s: the key '%s' is missing", g->path, key) : 0;
	return kv;
}

static int wrong_type(const struct gguf *g, const struct gguf_kv *kv, const char *wanted, struct err *e)
{
	return err_set(e, "%s: the key '%s' is of type %s, %s was wanted", g->path, kv->key, types[kv->type].name,
	               wanted);
}

int gguf_int(const struct gguf *g, const char *key, bool required, int64_t init, int64_t *out, struct err *e)
{
	int status;
	const struct gguf_kv *kv = find(g, key, required, e, &status);
	*out = init;
	if (!kv)
		return status;
	switch (kv->type) {
	case GGUF_U8: case GGUF_U16: case GGUF_U32: case GGUF_U64:
		if (kv->value.u > INT64_MAX)
			return err_set(e, "%s: the key '%s' is %llu, far too much", g->path, key,
			               (unsigned long long)kv->value.u);
		*out = (int64_t)kv->value.u;
		return 0;
	case GGUF_I8: case GGUF_I16: case GGUF_I32: case GGUF_I64:
		*out = kv->value.i;
		return 0;
	default:
		return wrong_type(g, kv, "an integer", e);
	}
}

int gguf_real(const struct gguf *g, const char *key, bool required, double init, double *out, struct err *e)
{
	int status;
	const struct gguf_kv *kv = find(g, key, required, e, &status);
	*out = init;
	if (!kv)
		return status;
	if (kv->type != GGUF_F32 && kv->type != GGUF_F64)
		return wrong_type(g, kv, "f32 or f64", e);
	*out = kv->value.f;
	return 0;
}

int gguf_bool(const struct gguf *g, const char *key, bool required, bool init, bool *out, struct err *e)
{
	int status;
	const struct gguf_kv *kv = find(g, key, required, e, &status);
	*out = init;
	if (!kv)
		return status;
	if (kv->type != GGUF_BOOL)
		return wrong_type(g, kv, "bool", e);
	*out = kv->value.b;
	return 0;
}

int gguf_str(const struct gguf *g, const char *key, bool required, const char **out, struct err *e)
{
	int status;
	const struct gguf_kv *kv = find(g, key, required, e, &status);
	*out = NULL;
	if (!kv)
		return status;
	if (kv->type != GGUF_STRING)
		return wrong_type(g, kv, "a string", e);
	if (memchr(kv->value.s.data, 0, kv->value.s.len))
		return err_set(e, "%s: the key '%s' is a string with a zero byte in it", g->path, key);
	*out = arena_strndup((struct arena *)&g->mem, kv->value.s.data, kv->value.s.len);
	return 0;
}

json_t *gguf_json(const struct gguf_kv *kv)
{
	switch (kv->type) {
	case GGUF_STRING: return jsonx_text(kv->value.s.data, kv->value.s.len);
	case GGUF_BOOL: return json_boolean(kv->value.b);
	case GGUF_F32: case GGUF_F64: return jsonx_number(kv->value.f);
	case GGUF_I8: case GGUF_I16: case GGUF_I32: case GGUF_I64: return json_integer(kv->value.i);
	case GGUF_ARRAY: return kv->n_items ? json_sprintf("a list of %zu", kv->n_items) : json_array();
	default: return json_integer((json_int_t)kv->value.u);
	}
}
