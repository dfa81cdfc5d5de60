/* source: opens whichever of the two forms the path is, and finds tensors by name in either.
 *
 * A folder is Hugging Face's: config.json, and the weights in model.safetensors or in the shards that
 * model.safetensors.index.json lists, or in the same of pytorch_model.bin, or in the one .bin, .pt or .pth that is
 * there. The names of shards come from outside, so they must be plain names of files in
 * the folder; every tensor that the index lists must be in the shard that it names, and no two shards may hold one
 * name. A folder without a config.json that has a model.gguf, as a run that was trained for its file leaves, is that
 * file. */
#include "format/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/hub_cache.h"
#include "format/pytorch.h"
#include "format/quantized.h"

/* What weights may be in, in the order in which they are looked for (transformers'). */
static const struct { const char *whole, *index; } forms[] = {
	{ "model.safetensors", "model.safetensors.index.json" },
	{ "pytorch_model.bin", "pytorch_model.bin.index.json" },
};

static bool has_file(const char *dir, const char *name)
{
	char *path = io_join(dir, name);
	bool there = io_exists(path);
	mem_free(path);
	return there;
}

static int load_json(json_t **out, const char *dir, const char *name, struct err *e)
{
	char *path = io_join(dir, name);
	*out = jsonx_load_file(path, e);
	int status = *out ? 0 : -1;
	if (*out && !json_is_object(*out)) {
		status = err_set(e, "%s: not a JSON object", path);
		json_decref(*out);
		*out = NULL;
	}
	mem_free(path);
	return status;
}

static int load_json_if_there(json_t **out, const char *dir, const char *name, struct err *e)
{
	*out = NULL;
	return has_file(dir, name) ? load_json(out, dir, name, e) : 0;
}

/* A folder that we may not look into hides what it has. */
static bool is_hidden(const char *dir, struct err *e)
{
	size_t size;
	char *path = io_join(dir, "config.json");
	bool hidden = io_size(path, &size, e) < 0 && errno == EACCES;

	mem_free(path);
	return hidden;
}

static int refuse_folder(const char *dir, struct err *e)
{
	if (is_hidden(dir, e))
		return -1;
	if (has_file(dir, "adapter_config.json"))
		return err_set(
			e, "%s: an adapter, not a model; give the model that it was made for, and this as --adapter",
			dir);
	return err_set(e,
	               "%s: no config.json and no model.gguf in this folder; a model is a GGUF file, or a Hugging "
	               "Face folder with config.json and model.safetensors",
	               dir);
}

static int refuse_weights(const char *dir, struct err *e)
{
	return err_set(e, "%s: no model.safetensors and no pytorch_model.bin in this folder, and no index of several",
	               dir);
}

static int open_shard(struct source *s, const char *name, struct err *e)
{
	char *path = io_join(s->path, name);
	struct safetensors *t = &s->shards[s->n_shards];
	int status = pytorch_is_name(name) ? pytorch_open(t, path, e) : st_open(t, path, e);
	s->n_shards += status == 0;
	mem_free(path);
	return status;
}

/* A plain name in the model's own folder. */
static bool shard_name_ok(const char *name)
{
	return !strchr(name, '/') && name[0] != '.' && (pytorch_is_name(name) || text_stem(name, ".safetensors"));
}

/* The shard's number among those open; opens it if it is new. −1 on error. */
static int shard_number(struct source *s, const char **names, const char *name, struct err *e)
{
	if (!name || !shard_name_ok(name))
		return err_set(e, "'%.80s' is no name of a .safetensors or .bin file in that folder", name ? name : "");
	for (size_t i = 0; i < s->n_shards; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	names[s->n_shards] = name;
	return open_shard(s, name, e) < 0 ? -1 : (int)s->n_shards - 1;
}

static int open_listed(struct source *s, const char *index, const json_t *map, struct err *e)
{
	size_t n = json_object_size(map);
	const char **names = arena_array(&s->mem, n, sizeof(*names)), *key;
	json_t *value;
	s->shards = arena_array(&s->mem, n, sizeof(*s->shards));
	json_object_foreach((json_t *)map, key, value) {
		int i = shard_number(s, names, json_string_value(value), e);
		if (i < 0)
			return err_prefix(e, "%s/%s", s->path, index);
		if (!st_find(&s->shards[i], key))
			return err_set(e, "%s/%s: lists tensor '%.80s' in %s, which does not have it", s->path, index,
			               key, names[i]);
	}
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int check_shards(const struct source *s, struct err *e)
{
	for (size_t i = 0; i < s->n_shards; i++)
		for (size_t j = 0; j < s->shards[i].n_tensors; j++)
			for (size_t k = 0; k < i; k++)
				if (st_find(&s->shards[k], s->shards[i].tensors[j].name))
					return err_set(e, "%s: two of its shards, %s and %s, hold tensor '%.80s'",
					               s->path, base_name(s->shards[k].path),
					               base_name(s->shards[i].path), s->shards[i].tensors[j].name);
	return 0;
}

static int open_sharded(struct source *s, const char *name, struct err *e)
{
	json_t *index;
	if (load_json(&index, s->path, name, e) < 0)
		return -1;
	const json_t *map = json_object_get(index, "weight_map");
	int status = -1;
	if (!json_is_object(map) || json_object_size(map) == 0)
		err_set(e, "%s/%s: no weight_map that says where tensors are", s->path, name);
	else if (open_listed(s, name, map, e) == 0)
		status = check_shards(s, e);
	json_decref(index);
	return status;
}

/* The one file of a state dict in the folder, in mem, where there is no model.safetensors; NULL: none, or several. */
static int find_state_dict(struct source *s, const char **out, struct err *e)
{
	char **names;
	size_t n, found = 0;

	if (io_list(s->path, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (pytorch_is_name(names[i]) && shard_name_ok(names[i]) && strcmp(names[i], "training_args.bin")) {
			*out = arena_strdup(&s->mem, names[i]);
			found++;
		}
	io_list_free(names, n);
	*out = found == 1 ? *out : NULL;
	return 0;
}

static int open_weights(struct source *s, struct err *e)
{
	const char *other = NULL;

	for (size_t i = 0; i < ARRAY_LEN(forms) && !other; i++) {
		if (has_file(s->path, forms[i].whole))
			other = forms[i].whole;
		else if (has_file(s->path, forms[i].index))
			return open_sharded(s, forms[i].index, e);
	}
	if (!other && find_state_dict(s, &other, e) < 0)
		return -1;
	if (!other)
		return refuse_weights(s->path, e);
	s->shards = arena_alloc(&s->mem, sizeof(*s->shards));
	return open_shard(s, other, e);
}

static int open_folder(struct source *s, bool weights, struct err *e)
{
	if (!has_file(s->path, "config.json"))
		return refuse_folder(s->path, e);
	if (load_json(&s->config, s->path, "config.json", e) < 0 ||
	    load_json_if_there(&s->generation_config, s->path, "generation_config.json", e) < 0 ||
	    load_json_if_there(&s->tokenizer_config, s->path, "tokenizer_config.json", e) < 0)
		return -1;
	return weights && (open_weights(s, e) < 0 || quantized_open(s, e) < 0) ? -1 : 0;
}

static int open_file(struct source *s, struct err *e)
{
	if (text_stem(s->path, ".safetensors") || pytorch_is_name(s->path))
		return err_set(e,
		               "%s: weights alone; the Hugging Face folder with config.json was wanted, or a GGUF file",
		               s->path);
	s->is_gguf = true;
	return gguf_open(&s->gguf, s->path, e);
}

static bool is_folder_of_gguf(const char *path)
{
	return io_is_dir(path) && has_file(path, SOURCE_GGUF) && !has_file(path, "config.json") &&
	       !has_file(path, "adapter_config.json");
}

static int open_path(struct source *s, const char *name, bool weights, struct err *e)
{
	*s = (struct source){ 0 };
	char *path = hub_resolve(name, e);
	if (!path)
		return -1;
	s->path = is_folder_of_gguf(path) ? arena_printf(&s->mem, "%s/" SOURCE_GGUF, path) :
	                                    arena_strdup(&s->mem, path);
	mem_free(path);
	int status;
	if (!*s->path)
		status = err_set(e, "an empty name of a model; a GGUF file or a Hugging Face folder is one");
	else if (!io_exists(s->path))
		status = err_set(e, "%s: no such file or folder; a model is a GGUF file or a Hugging Face folder",
		                 s->path);
	else
		status = io_is_dir(s->path) ? open_folder(s, weights, e) : open_file(s, e);
	if (status < 0)
		source_close(s);
	return status;
}

int source_open(struct source *s, const char *path, struct err *e) { return open_path(s, path, true, e); }

int source_open_facts(struct source *s, const char *path, struct err *e) { return open_path(s, path, false, e); }

void source_close(struct source *s)
{
	if (s->is_gguf)
		gguf_close(&s->gguf);
	quantized_close(s);
	for (size_t i = 0; i < s->n_shards; i++)
		st_close(&s->shards[i]);
	json_decref(s->config);
	json_decref(s->generation_config);
	json_decref(s->tokenizer_config);
	arena_release(&s->mem);
	*s = (struct source){ 0 };
}

/* GGUF counts dimensions from the contiguous one; here the outermost comes first. */
static void from_gguf(const struct gguf_tensor *t, struct source_tensor *out)
{
	*out = (struct source_tensor){ .name = t->name,
		                       .dtype = t->dtype,
		                       .n_dims = t->n_dims,
		                       .data = t->data,
		                       .bytes = t->bytes,
		                       .dtype_name = dtypes[t->dtype].name };
	for (int i = 0; i < t->n_dims; i++)
		out->dim[i] = t->dim[t->n_dims - 1 - i];
}

static void from_st(const struct st_tensor *t, struct source_tensor *out)
{
	*out = (struct source_tensor){ .name = t->name,
		                       .dtype = t->dtype,
		                       .n_dims = t->n_dims,
		                       .data = t->data,
		                       .bytes = t->bytes,
		                       .dtype_name = t->dtype_name };
	memcpy(out->dim, t->dim, sizeof(out->dim));
}

static int name_order(const void *a, const void *b)
{
	return strcmp(((const struct source_tensor *)a)->name, ((const struct source_tensor *)b)->name);
}

static int find_listed(const struct source *s, const char *name, struct source_tensor *out)
{
	struct source_tensor key = { .name = name };
	const struct source_tensor *t = bsearch(&key, s->list, s->n_list, sizeof(key), name_order);

	if (t)
		*out = *t;
	return !t;
}

int source_find(const struct source *s, const char *name, struct source_tensor *out)
{
	if (s->is_gguf) {
		const struct gguf_tensor *t = gguf_find_tensor(&s->gguf, name);
		if (t)
			from_gguf(t, out);
		return !t;
	}
	if (s->list)
		return find_listed(s, name, out);
	for (size_t i = 0; i < s->n_shards; i++) {
		const struct st_tensor *t = st_find(&s->shards[i], name);
		if (t) {
			from_st(t, out);
			return 0;
		}
	}
	return 1;
}

size_t source_count(const struct source *s)
{
	size_t n = s->gguf.n_tensors;
	if (s->list)
		return s->n_list;
	for (size_t i = 0; i < s->n_shards; i++)
		n += s->shards[i].n_tensors;
	return n;
}

void source_tensor(const struct source *s, size_t i, struct source_tensor *out)
{
	if (i >= source_count(s))
		BUG("tensor %zu of %zu", i, source_count(s));
	if (s->is_gguf) {
		from_gguf(&s->gguf.tensors[i], out);
		return;
	}
	if (s->list) {
		*out = s->list[i];
		return;
	}
	size_t shard = 0;
	for (; i >= s->shards[shard].n_tensors; shard++)
		i -= s->shards[shard].n_tensors;
	from_st(&s->shards[shard].tensors[i], out);
}

bool source_maps(const struct source *s, const void *data)
{
	bool found = io_maps(&s->gguf.map, data);

	for (size_t i = 0; i < s->gguf.n_parts && !found; i++)
		found = io_maps(&s->gguf.parts[i].map, data);
	for (size_t i = 0; i < s->n_shards && !found; i++)
		found = io_maps(&s->shards[i].map, data);
	return found;
}

void source_forget(const struct source *s, const void *p, size_t n)
{
	io_forget(&s->gguf.map, p, n);
	for (size_t i = 0; i < s->gguf.n_parts; i++)
		io_forget(&s->gguf.parts[i].map, p, n);
	for (size_t i = 0; i < s->n_shards; i++)
		io_forget(&s->shards[i].map, p, n);
}

size_t source_bytes(const struct source *s)
{
	size_t bytes = s->gguf.map.size;
	for (size_t i = 0; i < s->gguf.n_parts; i++)
		bytes += s->gguf.parts[i].map.size;
	for (size_t i = 0; i < s->n_shards; i++)
		bytes += s->shards[i].map.size;
	return bytes;
}

/* Weight file i of them. */
static const char *file_of(const struct source *s, size_t i)
{
	if (!s->is_gguf)
		return s->shards[i].path;
	return i ? s->gguf.parts[i - 1].path : s->path;
}

/* Reads the files rather than the mappings, so that hashing does not make every page of the weights resident. */
int source_hash(const struct source *s, char hex[33], struct err *e)
{
	size_t n = s->is_gguf ? s->gguf.n_parts + 1 : s->n_shards;
	struct buf all = BUF_INIT;
	int status = 0;
	if (s->made_of[0])
		memcpy(hex, s->made_of, sizeof(s->made_of));
	for (size_t i = 0; i < n && status == 0; i++) {
		status = io_hash(file_of(s, i), hex, e);
		buf_add(&all, hex, 32);
	}
	if (n > 1)
		hash_hex(all.data, all.len, hex);
	buf_release(&all);
	return status;
}
