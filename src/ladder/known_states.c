/* known_states: DIR/data/states-HASH.safetensors, HASH of the model's path: `rows` (hashes of 64 bits of the rows as
 * JSON, ascending, each as two numbers of 32), `layers`, `states`, and in its metadata the model's size and time, by
 * which another model under the same name is told from it, and what reading took. See known_states.h. */
#include "ladder/known_states.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"

enum { BYTES_MOST = 256 << 20 };

/* By which a model is known again: of its file, or of its folder's newest file. mem_free. */
static char *mark_of(const char *model)
{
	struct err ignored = ERR_INIT;
	struct stat s;
	char **names = NULL;
	size_t n = 0;
	long long newest = 0, bytes = 0;

	if (io_is_dir(model) && io_list(model, &names, &n, &ignored) == 0) {
		for (size_t i = 0; i < n; i++) {
			char *path = io_join(model, names[i]);
			if (stat(path, &s) == 0 && S_ISREG(s.st_mode)) {
				newest = MAX(newest, (long long)s.st_mtime);
				bytes += (long long)s.st_size;
			}
			mem_free(path);
		}
		io_list_free(names, n);
	} else if (stat(model, &s) == 0) {
		newest = (long long)s.st_mtime;
		bytes = (long long)s.st_size;
	}
	return mem_printf("%lld bytes of %lld", bytes, newest);
}

static int64_t key_of(const json_t *row)
{
	char *line = jsonx_line(row);
	int64_t key = (int64_t)hash_64(line, strlen(line));

	mem_free(line);
	return key;
}

static const char *meta_of(const struct known_states *k, const char *key)
{
	for (size_t i = 0; i < k->file.n_meta; i++)
		if (!strcmp(k->file.meta[i].key, key))
			return k->file.meta[i].value;
	return NULL;
}

static bool is_of(const struct known_states *k, const char *mark)
{
	const char *model = meta_of(k, "model");

	return model && !strcmp(model, mark);
}

static void take_tensors(struct known_states *k)
{
	const struct st_tensor *rows = st_find(&k->file, "rows"), *layers = st_find(&k->file, "layers"),
			       *states = st_find(&k->file, "states");
	char *mark = mark_of(k->model);
	bool fits = rows && layers && states && rows->dtype == DTYPE_I32 &&
	            (uintptr_t)rows->data % sizeof(int64_t) == 0 && layers->dtype == DTYPE_I32 &&
	            states->dtype == DTYPE_F32 && layers->bytes == k->n_layers * sizeof(int32_t) && is_of(k, mark);

	mem_free(mark);
	for (size_t i = 0; fits && i < k->n_layers; i++)
		fits = ((const int32_t *)layers->data)[i] == k->layers[i];
	size_t n = fits ? rows->bytes / sizeof(int64_t) : 0;
	if (!fits || states->bytes != n * k->n_layers * k->width * sizeof(float))
		return;
	const char *seconds = meta_of(k, "seconds");
	k->seconds = seconds ? fmax(strtod(seconds, NULL), 0) : 0;
	k->n = n;
	k->key = rows->data;
	k->state = states->data;
}

void known_states_open(struct known_states *k, const char *dir, const char *model, const int *layers, size_t n_layers,
                       size_t width)
{
	struct err ignored = ERR_INIT;

	*k = (struct known_states){ .path = mem_printf("%s/data/states-%016llx.safetensors", dir,
		                                       (unsigned long long)hash_64(model, strlen(model))),
		                    .model = model,
		                    .layers = layers,
		                    .n_layers = n_layers,
		                    .width = width };
	if (!io_exists(k->path) || st_open(&k->file, k->path, &ignored) < 0)
		return;
	k->open = true;
	take_tensors(k);
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

bool known_states_take(struct known_states *k, const json_t *row, float *out)
{
	int64_t key = k->state ? key_of(row) : 0;
	const int64_t *at = k->state ? bsearch(&key, k->key, k->n, sizeof(key), by_value) : NULL;
	size_t each = k->n_layers * k->width;

	k->missed += !at;
	if (at && out)
		memcpy(out, k->state + (size_t)(at - k->key) * each, each * sizeof(*out));
	return at != NULL;
}

struct place { int64_t key; size_t row; };

static int by_key(const void *a, const void *b) { return by_value(a, b); }

void known_states_save(const struct known_states *k, const struct rows *r, const float *states, double seconds)
{
	size_t each = k->n_layers * k->width, n = r->n;
	struct err ignored = ERR_INIT;

	if (!n || n * each * sizeof(float) > BYTES_MOST)
		return;
	struct place *p = mem_array(n, sizeof(*p));
	int64_t *keys = mem_array(n, sizeof(*keys));
	int32_t *layers = mem_array(k->n_layers, sizeof(*layers));
	float *sorted = mem_array(n * each, sizeof(*sorted));
	for (size_t i = 0; i < n; i++)
		p[i] = (struct place){ key_of(r->items[i].json), i };
	qsort(p, n, sizeof(*p), by_key);
	for (size_t i = 0; i < n; i++) {
		keys[i] = p[i].key;
		memcpy(sorted + i * each, states + p[i].row * each, each * sizeof(*sorted));
	}
	for (size_t i = 0; i < k->n_layers; i++)
		layers[i] = k->layers[i];
	char *mark = mark_of(k->model), *took = mem_printf("%.9g", seconds);
	const struct st_meta meta[] = { { "model", mark }, { "seconds", took } };
	const struct st_tensor tensors[] = {
		{ .name = "rows", .dtype = DTYPE_I32, .n_dims = 2, .dim = { n, 2 }, .data = keys,
		  .bytes = n * sizeof(*keys) },
		{ .name = "layers", .dtype = DTYPE_I32, .n_dims = 1, .dim = { k->n_layers }, .data = layers,
		  .bytes = k->n_layers * sizeof(*layers) },
		{ .name = "states", .dtype = DTYPE_F32, .n_dims = 3, .dim = { n, k->n_layers, k->width },
		  .data = sorted, .bytes = n * each * sizeof(*sorted) },
	};
	st_write(k->path, tensors, ARRAY_LEN(tensors), meta, ARRAY_LEN(meta), NULL, NULL, &ignored);
	mem_free(took);
	mem_free(mark);
	mem_free(sorted);
	mem_free(layers);
	mem_free(keys);
	mem_free(p);
}

void known_states_close(struct known_states *k)
{
	if (k->open)
		st_close(&k->file);
	mem_free(k->path);
}
