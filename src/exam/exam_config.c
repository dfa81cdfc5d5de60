/* exam_config: which config a name means. Files include others, whose keys come first and are written over, the first
 * of a list by the second; what is built in includes by name. A config without a name of its own (`task` or `group`) is
 * only there to be included. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "base/yaml_json.h"
#include "exam/exam_parts.h"

enum { INCLUDES_MOST = 16, FILES_MOST = 20000, FOLDERS_MOST = 12 };

extern const char tasks_yaml_builtin[];        /* generated from share/tasks.yaml */

void exam_index_release(struct exam_index *x)
{
	json_decref(x->configs);
	json_decref(x->folders);
	*x = (struct exam_index){ 0 };
}

static void index_begin(struct exam_index *x)
{
	if (!x->configs)
		*x = (struct exam_index){ json_object(), json_object() };
}

/* --- includes --- */

/* The config that `from` (NULL: nobody) means by `name`: a new reference; *full: a name that includes of its own are
 * told from, mem_free. */
typedef json_t *read_config(void *ctx, const char *name, const char *from, char **full, struct err *e);

struct merging { read_config *read; void *ctx; };

static json_t *merged(const struct merging *m, const char *name, const char *from, int depth, struct err *e);

static json_t *merge_list(const struct merging *m, const json_t *includes, const char *full, int depth, struct err *e)
{
	json_t *all = json_object(), *one;
	size_t i;

	json_array_foreach((json_t *)(uintptr_t)includes, i, one) {
		json_t *part = NULL;
		if (depth == INCLUDES_MOST)
			err_set(e, "%.200s: files include each other more than %d deep", full, INCLUDES_MOST);
		else if (!json_is_string(one))
			err_set(e, "%.200s: include: a name was wanted", full);
		else
			part = merged(m, json_string_value(one), full, depth + 1, e);
		if (!part) {
			json_decref(all);
			return NULL;
		}
		json_object_update(all, part);
		json_decref(part);
	}
	return all;
}

static json_t *merged(const struct merging *m, const char *name, const char *from, int depth, struct err *e)
{
	char *full = NULL;
	json_t *own = m->read(m->ctx, name, from, &full, e), *all = own;

	if (own && !json_is_object(own)) {
		err_set(e, "%.200s: a task is a mapping, lines of \"name: value\"", full);
		json_decref(own);
		all = NULL;
	} else if (own && json_object_get(own, "include")) {
		json_t *includes = json_incref(json_object_get(own, "include"));
		if (!json_is_array(includes))
			includes = json_pack("[o]", includes);
		json_object_del(own, "include");
		if ((all = merge_list(m, includes, full, depth, e)))
			json_object_update(all, own);
		json_decref(includes);
		json_decref(own);
	}
	mem_free(full);
	return all;
}

/* Names are paths, those of includes relative to the file that says them. */
static json_t *read_file(void *ctx, const char *name, const char *from, char **full, struct err *e)
{
	char *folder = from && *name != '/' ? io_parent(from) : NULL;

	(void)ctx;
	*full = folder ? io_join(folder, name) : mem_strdup(name);
	mem_free(folder);
	json_t *made = yaml_json_file(*full, e);
	if (!made && from)
		err_prefix(e, "%.200s", from);
	return made;
}

/* ctx: all that is built in. */
static json_t *read_builtin(void *ctx, const char *name, const char *from, char **full, struct err *e)
{
	json_t *c = json_object_get(ctx, name);

	*full = mem_strdup(name);
	if (!c)
		err_set(e, "%s: no built-in config is called %s", from ? from : "tasks.yaml", name);
	return c ? json_deep_copy(c) : NULL;
}

/* --- what is built in --- */

/* A config with its own name: `task` or `group`; NULL: it is only included. */
static const char *name_of(const json_t *config)
{
	const char *group = json_string_value(json_object_get(config, "group"));

	return group ? group : json_string_value(json_object_get(config, "task"));
}

static void add(struct exam_index *x, json_t *config, const char *folder)
{
	const char *name = name_of(config);

	if (name) {
		json_object_set_new(x->folders, name, json_string(folder));
		json_object_set(x->configs, name, config);
	}
	json_decref(config);
}

int exam_index_builtin(struct exam_index *x, struct err *e)
{
	json_t *all = yaml_json(tasks_yaml_builtin, strlen(tasks_yaml_builtin), "tasks.yaml", e), *one;
	const char *name;
	int status = all ? 0 : -1;

	index_begin(x);
	json_object_foreach(all, name, one) {
		const struct merging m = { read_builtin, all };
		json_t *config = status == 0 ? merged(&m, name, NULL, 0, e) : NULL;
		if (!config)
			status = -1;
		else
			add(x, config, "");
	}
	json_decref(all);
	return status;
}

/* --- files --- */

int exam_index_file(struct exam_index *x, const char *path, const char **name, struct err *e)
{
	const struct merging m = { read_file, NULL };
	json_t *config = merged(&m, path, NULL, 0, e);

	index_begin(x);
	if (!config)
		return -1;
	if (!name_of(config)) {
		json_decref(config);
		return err_set(e, "%s: neither a task nor a group: the key `task` or `group` names one", path);
	}
	char *folder = io_parent(path), *own = mem_strdup(name_of(config));
	add(x, config, folder);
	*name = json_object_iter_key(json_object_iter_at(x->configs, own));
	mem_free(folder);
	mem_free(own);
	return 0;
}

static int index_below(struct exam_index *x, const char *dir, int depth, size_t *files, struct err *e)
{
	char **names;
	size_t n;

	if (io_list(dir, &names, &n, e) < 0)
		return -1;
	int status = 0;
	for (size_t i = 0; i < n && status == 0; i++) {
		char *path = io_join(dir, names[i]);
		const char *name;
		if (*names[i] == '.') {
			mem_free(path);
			continue;
		}
		if (io_is_dir(path) && depth < FOLDERS_MOST) {
			status = index_below(x, path, depth + 1, files, e);
		} else if (text_ends(names[i], ".yaml")) {
			struct err why = ERR_INIT;
			if (++*files > FILES_MOST)
				status = err_set(e, "%s holds more than %d YAML files", dir, FILES_MOST);
			else if (exam_index_file(x, path, &name, &why) < 0 && !strstr(why.msg, "neither a task"))
				status = err_set(e, "%s", why.msg);
		}
		mem_free(path);
	}
	io_list_free(names, n);
	return status;
}

int exam_index_folder(struct exam_index *x, const char *dir, struct err *e)
{
	size_t files = 0;

	index_begin(x);
	return index_below(x, dir, 0, &files, e);
}
