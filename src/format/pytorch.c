/* pytorch: the host of the pickle, storages, and what becomes of a state dict. See pytorch.h. */
#include "format/pytorch.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "format/pickle.h"
#include "format/zip.h"

enum { DIMS_MAX = 4, PAIRS_MAX = 1 << 20 /* of all OrderedDicts that are made of lists */,
       COPIES_MAX = 8 /* bytes of views that are copied, for one of the file */ };

/* PyTorch's dtypes: a storage's class, its name in `torch`, ours, bytes a number. */
static const struct torch_type {
	const char *class, *name;
	enum dtype dtype;
	size_t bytes;
} types[] = {
	{ "FloatStorage", "float32", DTYPE_F32, 4 },       { "DoubleStorage", "float64", DTYPE_F64, 8 },
	{ "HalfStorage", "float16", DTYPE_F16, 2 },        { "BFloat16Storage", "bfloat16", DTYPE_BF16, 2 },
	{ "LongStorage", "int64", DTYPE_COUNT, 8 },        { "IntStorage", "int32", DTYPE_I32, 4 },
	{ "ShortStorage", "int16", DTYPE_COUNT, 2 },       { "CharStorage", "int8", DTYPE_COUNT, 1 },
	{ "ByteStorage", "uint8", DTYPE_U8, 1 },           { "BoolStorage", "bool", DTYPE_COUNT, 1 },
	{ "ComplexFloatStorage", "complex64", DTYPE_COUNT, 8 },
	{ "", "float8_e4m3fn", DTYPE_F8_E4M3, 1 },         { "", "float8_e5m2", DTYPE_F8_E5M2, 1 },
	{ "UntypedStorage", "", DTYPE_COUNT, 1 },
};

/* What a pickle may name beside storages and dtypes. */
enum call { REBUILD, REBUILD_2, REBUILD_3, PARAMETER, PARAMETER_2, ORDERED_DICT, SIZE, CALLS };
static const char *const calls[CALLS][2] = {
	[REBUILD] = { "torch._utils", "_rebuild_tensor" },
	[REBUILD_2] = { "torch._utils", "_rebuild_tensor_v2" },
	[REBUILD_3] = { "torch._utils", "_rebuild_tensor_v3" },
	[PARAMETER] = { "torch._utils", "_rebuild_parameter" },
	[PARAMETER_2] = { "torch._utils", "_rebuild_parameter_with_state" },
	[ORDERED_DICT] = { "collections", "OrderedDict" },
	[SIZE] = { "torch", "Size" },
};

struct storage {
	const char *key;
	const struct torch_type *type;
	size_t numbers;
	const uint8_t *data;             /* NULL: not found yet */
	struct storage *next;
};

struct view {                            /* a tensor */
	const struct storage *storage;
	const struct torch_type *type;
	int n_dims;
	size_t offset, dim[DIMS_MAX], stride[DIMS_MAX];
};

struct loader {
	struct arena *mem;
	const char *where;
	const struct zip *zip;           /* NULL: the older form */
	const char *prefix;              /* "NAME/" of the archive's entries */
	struct storage *storages;
	size_t pairs;
};

/* --- the pickle's host --- */

static int find_global(void *ctx, const char *module, const char *name)
{
	(void)ctx;
	for (int i = 0; i < CALLS; i++)
		if (!strcmp(module, calls[i][0]) && !strcmp(name, calls[i][1]))
			return i;
	bool torch = !strcmp(module, "torch") || !strcmp(module, "torch.storage");
	for (size_t i = 0; i < ARRAY_LEN(types) && torch && *name; i++)
		if (!strcmp(name, types[i].class) || !strcmp(name, types[i].name))
			return CALLS + (int)i;
	return -1;
}

static const struct torch_type *type_of(const struct pickle_value *v)
{
	return v->kind == PICKLE_GLOBAL && v->i >= CALLS ? &types[v->i - CALLS] : NULL;
}

static int find_data(struct loader *l, struct storage *s, struct err *e)
{
	if (!l->zip)
		return 0; /* it comes behind the pickle */
	char *name = mem_printf("%sdata/%s", l->prefix, s->key);
	const struct zip_entry *entry = zip_find(l->zip, name);
	mem_free(name);
	if (!entry)
		return err_set(e, "%s: the storage data/%.40s is missing", l->where, s->key);
	if (!entry->data)
		return err_set(e, "%s: the storage data/%.40s is packed, which torch.save never does", l->where,
		               s->key);
	if (entry->bytes / s->type->bytes < s->numbers)
		return err_set(e, "%s: the storage data/%.40s has %zu bytes, its %zu numbers want %zu", l->where,
		               s->key, entry->bytes, s->numbers, s->numbers * s->type->bytes);
	s->data = entry->data;
	return 0;
}

/* ('storage', class, key, location, numbers), the same key the same storage */
static struct pickle_value *find_storage(void *ctx, const struct pickle_value *id, struct err *e)
{
	struct loader *l = ctx;
	bool fits = id->n >= 5 && id->item[0]->kind == PICKLE_TEXT && !strcmp(id->item[0]->text, "storage") &&
	            type_of(id->item[1]) && id->item[2]->kind == PICKLE_TEXT && id->item[4]->kind == PICKLE_INT &&
	            id->item[4]->i >= 0 && (id->n < 6 || id->item[5]->kind == PICKLE_NONE);

	if (!fits || strchr(id->item[2]->text, '/')) {
		err_set(e, "%s: a persistent id that is no storage as torch.save writes one", l->where);
		return NULL;
	}
	struct pickle_value *v = pickle_new(l->mem, PICKLE_HOST);
	struct storage *s = l->storages;
	while (s && strcmp(s->key, id->item[2]->text))
		s = s->next;
	if (!s) {
		s = arena_alloc(l->mem, sizeof(*s));
		*s = (struct storage){ id->item[2]->text, type_of(id->item[1]), (size_t)id->item[4]->i, NULL,
			               l->storages };
		if (find_data(l, s, e) < 0)
			return NULL;
		l->storages = s;
	}
	v->own = s;
	v->i = -1; /* a storage, no tensor */
	return v;
}

/* Sizes or strides; their number, −1. */
static int read_sizes(const struct pickle_value *v, size_t out[DIMS_MAX])
{
	if (v->kind != PICKLE_TUPLE || v->n > DIMS_MAX)
		return -1;
	for (size_t i = 0; i < v->n; i++) {
		if (v->item[i]->kind != PICKLE_INT || v->item[i]->text || v->item[i]->i < 0)
			return -1;
		out[i] = (size_t)v->item[i]->i;
	}
	return (int)v->n;
}

/* Is the last number inside the storage, and no number there twice? */
static bool is_inside(const struct view *t)
{
	size_t last = t->offset, all = 1, far, numbers = t->storage->numbers;

	if (t->type != t->storage->type) /* an untyped one counts bytes */
		numbers = numbers * t->storage->type->bytes / t->type->bytes;
	for (int i = 0; i < t->n_dims; i++)
		if (t->dim[i] == 0)
			return true;
	for (int i = 0; i < t->n_dims; i++)
		if (!size_mul(all, t->dim[i], &all) || !size_mul(t->dim[i] - 1, t->stride[i], &far) ||
		    __builtin_add_overflow(last, far, &last))
			return false;
	return last < numbers && all <= numbers;
}

/* (storage, offset, sizes, strides, …); of version 3 the seventh is the dtype */
static struct pickle_value *rebuild(struct loader *l, int call, const struct pickle_value *args, struct err *e)
{
	struct view *t = arena_alloc(l->mem, sizeof(*t));
	bool storage = args->n >= 4 && args->item[0]->kind == PICKLE_HOST && args->item[0]->i == -1;

	if (!storage || args->item[1]->kind != PICKLE_INT || args->item[1]->text || args->item[1]->i < 0) {
		err_set(e, "%s: a tensor that is no view of a storage", l->where);
		return NULL;
	}
	t->storage = args->item[0]->own;
	t->type = call == REBUILD_3 ? (args->n > 6 ? type_of(args->item[6]) : NULL) : t->storage->type;
	t->offset = (size_t)args->item[1]->i;
	t->n_dims = read_sizes(args->item[2], t->dim);
	if (t->n_dims < 0 || read_sizes(args->item[3], t->stride) != t->n_dims || !t->type || !*t->type->name) {
		err_set(e, "%s: a tensor without proper sizes, strides and dtype, or of more than %d dimensions",
		        l->where, DIMS_MAX);
		return NULL;
	}
	if (!is_inside(t)) {
		err_set(e, "%s: a tensor that is not inside of its storage data/%.40s, which has %zu numbers", l->where,
		        t->storage->key, t->storage->numbers);
		return NULL;
	}
	struct pickle_value *v = pickle_new(l->mem, PICKLE_HOST);
	v->own = t;
	return v;
}

/* Of nothing, or of a list of pairs. */
static struct pickle_value *ordered_dict(struct loader *l, const struct pickle_value *args, struct err *e)
{
	struct pickle_value *dict = pickle_new(l->mem, PICKLE_DICT);
	const struct pickle_value *list = args->n ? args->item[0] : NULL;

	if (!list)
		return dict;
	l->pairs += list->n;
	if (l->pairs > PAIRS_MAX) {
		err_set(e, "%s: OrderedDicts of more than %d pairs", l->where, PAIRS_MAX);
		return NULL;
	}
	dict->cap = 2 * list->n;
	dict->item = arena_array(l->mem, dict->cap + 1, sizeof(struct pickle_value *));
	for (size_t i = 0; list->kind == PICKLE_LIST && i < list->n; i++) {
		const struct pickle_value *pair = list->item[i];
		if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->n != 2)
			break;
		dict->item[dict->n++] = pair->item[0];
		dict->item[dict->n++] = pair->item[1];
	}
	if (list->kind == PICKLE_LIST && dict->n == 2 * list->n)
		return dict;
	err_set(e, "%s: an OrderedDict that is made of no pairs", l->where);
	return NULL;
}

static struct pickle_value *do_call(void *ctx, int call, const struct pickle_value *args, struct err *e)
{
	struct loader *l = ctx;

	switch (call) {
	case REBUILD: case REBUILD_2: case REBUILD_3:
		return rebuild(l, call, args, e);
	case PARAMETER: case PARAMETER_2:
		if (args->n && args->item[0]->kind == PICKLE_HOST && args->item[0]->i == 0)
			return args->item[0];
		break;
	case ORDERED_DICT:
		return ordered_dict(l, args, e);
	case SIZE:
		if (args->n == 1 && args->item[0]->kind == PICKLE_TUPLE)
			return args->item[0];
		break;
	default: break;
	}
	err_set(e, "%s: its pickle calls %s as torch.save never does", l->where,
	        call < CALLS ? calls[call][1] : types[call - CALLS].class);
	return NULL;
}

static int read_pickle(struct loader *l, const uint8_t *data, size_t size, size_t *at, struct pickle_value **out,
                       struct err *e)
{
	struct pickle_host host = { l, find_global, do_call, find_storage };
	size_t used = 0;

	if (pickle_read(l->mem, data + *at, size - *at, &host, l->where, out, &used, e) < 0)
		return -1;
	*at += used;
	return 0;
}

/* --- tensors --- */

static bool is_tensor(const struct pickle_value *v) { return v->kind == PICKLE_HOST && v->i == 0; }

static bool has_tensors(const struct pickle_value *dict)
{
	for (size_t i = 0; dict && dict->kind == PICKLE_DICT && i + 1 < dict->n; i += 2)
		if (is_tensor(dict->item[i + 1]))
			return true;
	return false;
}

/* The dict of tensors, or the one that a checkpoint holds. */
static const struct pickle_value *find_weights(const struct pickle_value *all)
{
	static const char *const keys[] = { "state_dict", "model_state_dict", "model", "module" };
	const struct pickle_value *found = has_tensors(all) ? all : NULL;

	for (size_t i = 0; i < ARRAY_LEN(keys) && !found; i++) {
		const struct pickle_value *inner = pickle_get(all, keys[i]);
		found = has_tensors(inner) ? inner : NULL;
	}
	return found;
}

static bool is_contiguous(const struct view *t)
{
	size_t want = 1;

	for (int i = t->n_dims; i-- > 0;) {
		if (t->dim[i] != 1 && t->stride[i] != want)
			return false;
		want *= t->dim[i];
	}
	return true;
}

/* The numbers of a view in row-major order. */
static void gather(const struct view *t, char *to, size_t n)
{
	size_t at[DIMS_MAX] = { 0 }, size = t->type->bytes;
	const char *from = (const char *)t->storage->data;

	for (size_t k = 0; k < n; k++) {
		size_t place = t->offset;
		for (int i = 0; i < t->n_dims; i++)
			place += at[i] * t->stride[i];
		memcpy(to + k * size, from + place * size, size);
		for (int i = t->n_dims; i-- > 0 && ++at[i] == t->dim[i];)
			at[i] = 0;
	}
}

static int check_name(const struct pickle_value *name, const char *where, struct err *e)
{
	if (name->kind != PICKLE_TEXT || name->n == 0 || !utf8_valid(name->text, name->n, NULL))
		return err_set(e, "%s: a tensor whose name is no text", where);
	for (size_t i = 0; i < name->n; i++)
		if ((unsigned char)name->text[i] < 0x20 || name->text[i] == 0x7f)
			return err_set(e, "%s: a tensor's name holds the control byte %d", where, name->text[i]);
	return 0;
}

/* room: bytes that may still be copied; views of one storage could ask for any number of them. */
static int take(struct safetensors *s, const char *name, const struct view *v, size_t *room, struct err *e)
{
	struct st_tensor *t = &s->tensors[s->n_tensors];
	size_t n = 1;

	for (int i = 0; i < v->n_dims; i++)
		n *= v->dim[i];
	if (!v->storage->data && n)
		return err_set(e, "%s: the storage %.40s of '%.80s' is missing", s->path, v->storage->key, name);
	*t = (struct st_tensor){ .name = name, .dtype = v->type->dtype, .n_dims = v->n_dims,
		                 .bytes = n * v->type->bytes };
	t->dtype_name = v->type->dtype == DTYPE_COUNT ? v->type->name : dtypes[v->type->dtype].safetensors;
	memcpy(t->dim, v->dim, sizeof(t->dim));
	t->data = n ? (const void *)(v->storage->data + v->offset * v->type->bytes) : s->path;
	if (n && (!is_contiguous(v) || !st_is_aligned(t))) {
		if (t->bytes > *room)
			return err_set(e, "%s: its tensors are views that would need more than %d times the file's "
			                  "bytes", s->path, COPIES_MAX);
		*room -= t->bytes;
		char *copy = arena_alloc64(&s->mem, t->bytes);
		gather(v, copy, n);
		t->data = copy;
	}
	s->n_tensors++;
	return 0;
}

static int take_all(struct safetensors *s, const struct pickle_value *all, size_t size, struct err *e)
{
	const struct pickle_value *dict = find_weights(all);
	size_t room = size * COPIES_MAX;

	if (!dict)
		return err_set(e, "%s: no state dict: no dict of names and tensors in this file", s->path);
	s->tensors = arena_array(&s->mem, dict->n / 2, sizeof(*s->tensors));
	for (size_t i = 0; i + 1 < dict->n; i += 2)
		if (is_tensor(dict->item[i + 1]) &&
		    (check_name(dict->item[i], s->path, e) < 0 ||
		     take(s, dict->item[i]->text, dict->item[i + 1]->own, &room, e) < 0))
			return -1;
	return st_sort(s, e);
}

/* --- files --- */

static int parse_zip(struct safetensors *s, const uint8_t *data, size_t size, struct err *e)
{
	struct zip z;
	struct pickle_value *all;
	size_t at = 0;

	if (zip_read(&z, &s->mem, data, size, s->path, e) < 0)
		return -1;
	struct loader l = { .mem = &s->mem, .where = s->path, .zip = &z };
	const struct zip_entry *pickle = NULL, *order;
	for (size_t i = 0; i < z.n; i++) {
		size_t n = strlen(z.entry[i].name), m = strlen("/data.pkl");
		if (n <= m || strcmp(z.entry[i].name + n - m, "/data.pkl"))
			continue;
		pickle = &z.entry[i];
		l.prefix = arena_strndup(&s->mem, pickle->name, n - m + 1);
	}
	if (!pickle || !pickle->data)
		return err_set(e, "%s: an archive without a data.pkl, so none of torch.save", s->path);
	order = zip_find(&z, arena_printf(&s->mem, "%sbyteorder", l.prefix));
	if (order && order->data && (order->bytes != 6 || memcmp(order->data, "little", 6)))
		return err_set(e, "%s: numbers in the byte order of another kind of machine", s->path);
	if (read_pickle(&l, pickle->data, pickle->bytes, &at, &all, e) < 0)
		return -1;
	return take_all(s, all, size, e);
}

/* Behind the pickle: the keys of storages, then of each how many numbers, and its bytes. */
static int read_storages(struct loader *l, const uint8_t *data, size_t size, size_t at, struct err *e)
{
	struct pickle_value *keys;

	if (read_pickle(l, data, size, &at, &keys, e) < 0)
		return -1;
	for (size_t i = 0; keys->kind == PICKLE_LIST && i < keys->n; i++) {
		struct storage *s = l->storages;
		uint64_t n = 0;
		while (s && (keys->item[i]->kind != PICKLE_TEXT || strcmp(s->key, keys->item[i]->text)))
			s = s->next;
		if (!s || size - at < 8)
			return err_set(e, "%s: the list of its storages is damaged or cut off", l->where);
		memcpy(&n, data + at, sizeof(n)); /* little endian, as everywhere that this runs */
		at += sizeof(n);
		if (n != s->numbers || n > (size - at) / s->type->bytes)
			return err_set(e, "%s: storage %.40s has %zu numbers, which the file does not hold", l->where,
			               s->key, s->numbers);
		s->data = data + at;
		at += (size_t)n * s->type->bytes;
	}
	return 0;
}

static const uint8_t magic[] = { 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19 };

static bool is_old(const uint8_t *data, size_t size)
{
	return size > 16 && data[0] == 0x80 && data[2] == 0x8a && data[3] == sizeof(magic) &&
	       !memcmp(data + 4, magic, sizeof(magic));
}

static int parse_old(struct safetensors *s, const uint8_t *data, size_t size, struct err *e)
{
	struct loader l = { .mem = &s->mem, .where = s->path };
	struct pickle_value *part[4]; /* magic, version, system, the object */
	size_t at = 0;

	for (int i = 0; i < 4; i++)
		if (read_pickle(&l, data, size, &at, &part[i], e) < 0)
			return -1;
	const struct pickle_value *little = pickle_get(part[2], "little_endian");
	if (little && little->kind == PICKLE_BOOL && !little->i)
		return err_set(e, "%s: numbers in the byte order of another kind of machine", s->path);
	return read_storages(&l, data, size, at, e) < 0 ? -1 : take_all(s, part[3], size, e);
}

static int parse(struct safetensors *s, const uint8_t *data, size_t size, struct err *e)
{
	if (size >= 4 && !memcmp(data, "PK\3\4", 4))
		return parse_zip(s, data, size, e);
	if (is_old(data, size))
		return parse_old(s, data, size, e);
	if (text_instead(data, size))
		return err_set(e, "%s is %s", s->path, text_instead(data, size));
	return err_set(e, "%s: no file of torch.save: neither an archive nor its older form", s->path);
}

int pytorch_parse(struct safetensors *s, const void *data, size_t size, const char *where, struct err *e)
{
	*s = (struct safetensors){ 0 };
	s->path = arena_strdup(&s->mem, where);
	if (parse(s, data, size, e) == 0)
		return 0;
	st_close(s);
	return -1;
}

int pytorch_open(struct safetensors *s, const char *path, struct err *e)
{
	struct mapping map;

	*s = (struct safetensors){ 0 };
	if (io_map(&map, path, e) < 0)
		return -1;
	if (pytorch_parse(s, map.data, map.size, path, e) < 0) {
		io_unmap(&map);
		return -1;
	}
	s->map = map;
	return 0;
}

bool pytorch_is_name(const char *name)
{
	static const char *const ends[] = { ".bin", ".pt", ".pth" };
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (text_stem(name, ends[i]))
			return true;
	return false;
}
