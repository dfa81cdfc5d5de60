/* exam_data: where rows of a split are.
 *
 * A config whose dataset_path is json, jsonl, csv or tsv names its files in dataset_kwargs, as `datasets` has it:
 * data_files is a path, a list of paths, or a mapping from splits to those; a relative one is looked for from where the
 * program runs, then in the task's own folder. All others want --task-data DIR, in which the first of these is taken,
 * FILE being SPLIT.jsonl, .jsonl.gz, .json, .csv or .tsv:
 *
 *     DIR/TASK/FILE    DIR/PATH/NAME/FILE    DIR/LAST/NAME/FILE    DIR/PATH/FILE    DIR/LAST/FILE
 *
 * PATH and NAME are dataset_path and dataset_name, LAST is what stands behind the last slash of PATH. The last two are
 * looked at only where the task has no dataset_name. What is in none of these is looked for among the files that
 * `kungfu pull datasets/PATH` fetched (exam_pulled.c): main's, or those of DIR where that is a folder of it.
 *
 * Cells of tables whose column is nothing but numbers are numbers. Parquet is refused by name where it is all there is
 * (data/rows.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "data/rows.h"
#include "exam/exam_parts.h"
#include "format/hub_cache.h"

static const char *text_of(const struct exam *t, const char *key)
{
	return json_string_value(json_object_get(t->config, key));
}

/* --- cells --- */

/* What a text is as a number, or NULL. */
static json_t *number(const char *s)
{
	char *end;

	errno = 0;
	long long i = strtoll(s, &end, 10);
	if (*s && !*end && !errno && (*s == '-' || (*s >= '0' && *s <= '9')))
		return json_integer(i);
	if (!*s || strspn(s, "+-.0123456789eE") != strlen(s))
		return NULL;
	double x = strtod(s, &end);
	return *end ? NULL : json_real(x);
}

static void number_column(const json_t *rows, const char *key)
{
	size_t i;
	json_t *row;

	json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
		const char *cell = json_string_value(json_object_get(row, key));
		json_t *x = cell ? number(cell) : NULL;
		if (!x)
			return;
		json_decref(x);
	}
	json_array_foreach((json_t *)(uintptr_t)rows, i, row)
		json_object_set_new(row, key, number(json_string_value(json_object_get(row, key))));
}

static void number_columns(json_t *rows)
{
	json_t *names = json_array(), *v, *one;
	const char *key;
	size_t i;

	json_object_foreach(json_array_get(rows, 0), key, v)
		json_array_append_new(names, json_string(key));
	json_array_foreach(names, i, one)
		number_column(rows, json_string_value(one));
	json_decref(names);
}

/* --- files --- */

static int add_file(json_t *all, const char *path, struct err *e)
{
	struct rows r = { 0 };
	bool table = rows_are_named(path, ".csv") || rows_are_named(path, ".tsv");
	json_t *rows = json_array();
	int status = rows_load_objects(&r, path, e);

	if (status == 0 && r.n + json_array_size(all) > EXAM_MOST_DOCS)
		status = err_set(e, "%s: more than %d rows", path, EXAM_MOST_DOCS);
	for (size_t i = 0; i < r.n && status == 0; i++)
		json_array_append(rows, r.items[i].json);
	if (table)
		number_columns(rows);
	json_array_extend(all, rows);
	json_decref(rows);
	rows_release(&r);
	return status;
}

/* dataset_kwargs.data_files of the split: a path or a list of them. */
static const json_t *files_of(const struct exam *t, const char *split)
{
	const json_t *files = json_object_get(json_object_get(t->config, "dataset_kwargs"), "data_files");

	if (json_is_object(files))
		return json_object_get(files, split);
	return files && !strcmp(split, "train") ? files : NULL; /* all rows are `train` where no split is named */
}

static int add_named(const struct exam *t, json_t *all, const char *path, struct err *e)
{
	char *beside = *t->folder && *path != '/' && !io_exists(path) ? io_join(t->folder, path) : NULL;
	int status = add_file(all, beside ? beside : path, e);

	mem_free(beside);
	return status;
}

static int add_files(const struct exam *t, json_t *all, const char *split, struct err *e)
{
	const json_t *files = files_of(t, split);
	int status = 0;
	size_t i;
	json_t *one;

	if (json_is_string(files))
		return add_named(t, all, json_string_value(files), e);
	if (!json_is_array(files))
		return err_set(e, "dataset_kwargs: data_files has no file of the split %s", split);
	json_array_foreach((json_t *)(uintptr_t)files, i, one) {
		if (!json_is_string(one))
			return err_set(e, "dataset_kwargs: data_files: a path was wanted");
		if (status == 0)
			status = add_named(t, all, json_string_value(one), e);
	}
	return status;
}

/* --- a folder of data --- */

static char *found_in(const char *dir, const char *a, const char *b, const char *split)
{
	static const char *const ends[] = { ".jsonl", ".jsonl.gz", ".json", ".csv", ".tsv", ".parquet" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		char *path = b ? mem_printf("%s/%s/%s/%s%s", dir, a, b, split, ends[i]) :
		                 mem_printf("%s/%s/%s%s", dir, a, split, ends[i]);
		if (io_exists(path))
			return path;
		mem_free(path);
	}
	return NULL;
}

static char *find(const struct exam *t, const char *dir, const char *split)
{
	const char *path = text_of(t, "dataset_path"), *name = text_of(t, "dataset_name");
	const char *last = path && strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char *at = found_in(dir, t->name, NULL, split);

	if (!at && path && name)
		at = found_in(dir, path, name, split);
	if (!at && path && name)
		at = found_in(dir, last, name, split);
	if (!at && path && !name)
		at = found_in(dir, path, NULL, split);
	if (!at && path && !name)
		at = found_in(dir, last, NULL, split);
	return at;
}

static bool is_local(const struct exam *t)
{
	const char *path = text_of(t, "dataset_path");

	return path && json_object_get(json_object_get(t->config, "dataset_kwargs"), "data_files") &&
	       (!strcmp(path, "json") || !strcmp(path, "jsonl") || !strcmp(path, "csv") || !strcmp(path, "tsv"));
}

/* A name of a split is a name of a file here. */
static bool is_plain(const char *split) { return *split && *split != '.' && !strpbrk(split, "/[:"); }

/* The files that `kungfu pull datasets/PATH` fetched; n 0: none. */
static int pulled(const struct exam *t, const char *split, const char *data, struct exam_files *f, struct err *e)
{
	const char *path = text_of(t, "dataset_path");
	char *repo = path && hub_is_name(path) ? hub_cache_repo(path, true) : NULL;
	bool is_its = repo && data && strstr(data, io_basename(repo));
	char *dir = is_its ? mem_strdup(data) : repo ? hub_cache_main(path, true) : NULL;
	int status = dir ? exam_pulled(f, dir, text_of(t, "dataset_name"), split, e) : 0;

	mem_free(repo);
	mem_free(dir);
	return status;
}

static int refuse_none(const struct exam *t, const char *split, const char *data, struct err *e)
{
	const char *path = text_of(t, "dataset_path"), *name = text_of(t, "dataset_name");
	bool hub = path && hub_is_name(path);
	char *set = mem_printf("%s%s%s, %s", path ? path : "no dataset_path", name ? " " : "", name ? name : "",
	                       split);

	if (data)
		err_set(e, "no rows of %s (%s) in %s: %s%s%s/%s.jsonl was wanted%s%s", t->name, set, data, data,
		        data[strlen(data) - 1] == '/' ? "" : "/", t->name,
		        split, hub ? ", or what `kungfu pull` fetched of datasets/" : "", hub ? path : "");
	else
		err_set(e, "its rows (%s) are wanted: --task-data DIR with %s/%s.jsonl in it%s%s%s", set, t->name,
		        split, hub ? ", or `kungfu pull datasets/" : "", hub ? path : "", hub ? "`" : "");
	mem_free(set);
	return -1;
}

static int add_split(const struct exam *t, json_t *all, const char *split, const char *data, struct err *e)
{
	char *file = data ? find(t, data, split) : NULL;
	struct exam_files f = { .n = 0 };
	int status = file ? add_file(all, file, e) : pulled(t, split, data, &f, e);

	for (size_t i = 0; i < f.n && status == 0; i++)
		status = add_file(all, f.path[i], e);
	if (status == 0 && !file && !f.n)
		status = refuse_none(t, split, data, e);
	exam_files_release(&f);
	mem_free(file);
	return status;
}

json_t *exam_split(const struct exam *t, const char *split, const struct exam_source *from, struct err *e)
{
	json_t *all = json_array();
	int status;

	if (is_local(t))
		status = add_files(t, all, split, e);
	else if (!is_plain(split))
		status = err_set(e, "the split %.80s is no name of rows in a file", split);
	else
		status = add_split(t, all, split, from->data, e);
	if (status == 0 && json_array_size(all) == 0)
		status = err_set(e, "no rows in the split %s", split);
	if (status == 0)
		return all;
	json_decref(all);
	return NULL;
}
