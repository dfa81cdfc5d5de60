/* files: see files.h. */
#include "serve/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"

enum { HEX = 32 };

int files_open(const char *dir, struct err *e)
{
	char *own = io_join(dir, "files");
	int status = io_mkdirs(own, e);

	mem_free(own);
	return status;
}

static bool is_id(const char *id)
{
	return !strncmp(id, "file-", 5) && strlen(id) == 5 + HEX && strspn(id + 5, "0123456789abcdef") == HEX;
}

static char *place(const char *dir, const char *id, const char *end)
{
	return mem_printf("%s/files/%s.%s", dir, id, end);
}

/* The kind by which rows are read (data/rows.h). */
static const char *kind_of(const char *filename)
{
	static const char *const kinds[] = { "jsonl", "json", "csv", "tsv", "txt" };
	const char *dot = strrchr(filename, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(kinds); i++)
		if (!strcmp(dot + 1, kinds[i]))
			return kinds[i];
	return "jsonl";
}

static void name_of(const char *filename, const char *purpose, const void *data, size_t n, char id[64])
{
	struct hash_stream *h = hash_begin();
	char hex[33];

	hash_add(h, filename, strlen(filename) + 1);
	hash_add(h, purpose, strlen(purpose) + 1);
	hash_add(h, data, n);
	hash_end(h, hex);
	snprintf(id, 64, "file-%s", hex);
}

json_t *files_add(const char *dir, const char *filename, const char *purpose, const void *data, size_t n, struct err *e)
{
	const char *base = io_basename(filename);
	char id[64];

	name_of(base, purpose, data, n, id);
	json_t *j = files_get(dir, id);
	if (j)
		return j;
	char *bytes = place(dir, id, kind_of(base)), *object = place(dir, id, "json-object");
	j = json_pack("{s:s, s:s, s:I, s:I, s:o, s:s, s:s, s:n, s:n}", "id", id, "object", "file", "bytes",
	              (json_int_t)n, "created_at", (json_int_t)clock_wall_seconds(), "filename",
	              jsonx_text(base, strlen(base)), "purpose", purpose, "status", "processed", "expires_at",
	              "status_details");
	if (io_write(bytes, data, n, e) < 0 || jsonx_write_file(object, j, e) < 0) {
		json_decref(j);
		j = NULL;
	}
	mem_free(bytes);
	mem_free(object);
	return j;
}

json_t *files_get(const char *dir, const char *id)
{
	struct err e = ERR_INIT;

	if (!is_id(id))
		return NULL;
	char *object = place(dir, id, "json-object");
	json_t *j = io_exists(object) ? jsonx_load_file(object, &e) : NULL;
	mem_free(object);
	return j;
}

static json_int_t time_of(const void *j) { return json_integer_value(json_object_get(j, "created_at")); }

static int newest_first(const void *a, const void *b)
{
	const json_t *const *x = a, *const *y = b;
	json_int_t s = time_of(*x), t = time_of(*y);

	return s != t ? s < t ? 1 : -1 :
	                strcmp(json_string_value(json_object_get(*x, "id")),
	                       json_string_value(json_object_get(*y, "id")));
}

json_t *files_list(const char *dir)
{
	char *own = io_join(dir, "files"), **names;
	struct err e = ERR_INIT;
	json_t *list = json_array();
	size_t n, found = 0;

	if (io_list(own, &names, &n, &e) == 0) {
		json_t **all = mem_array(n + 1, sizeof(json_t *));
		for (size_t i = 0; i < n; i++) {
			char *dot = strchr(names[i], '.');
			if (!dot || strcmp(dot, ".json-object"))
				continue;
			*dot = 0;
			if ((all[found] = files_get(dir, names[i])))
				found++;
		}
		qsort(all, found, sizeof(json_t *), newest_first);
		for (size_t i = 0; i < found; i++)
			json_array_append_new(list, all[i]);
		mem_free(all);
		io_list_free(names, n);
	}
	mem_free(own);
	return list;
}

char *files_path(const char *dir, const char *id)
{
	json_t *j = files_get(dir, id);
	char *path = j ? place(dir, id, kind_of(json_string_value(json_object_get(j, "filename")))) : NULL;

	json_decref(j);
	return path;
}

int files_remove(const char *dir, const char *id, struct err *e)
{
	char *bytes = files_path(dir, id), *object = place(dir, id, "json-object");
	int status = unlink(object) || unlink(bytes) ? err_set(e, "%s: %s", id, strerror(errno)) : 0;

	mem_free(bytes);
	mem_free(object);
	return status;
}
