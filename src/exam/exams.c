/* exams: which tasks and groups names mean. Each task is opened once, whoever names it; a group stands behind its
 * members. A tag, which is no group, is all configs that carry it. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/text.h"
#include "exam/exam_parts.h"

enum { NESTED_MOST = 8, TASKS_MOST = 2000 };

static const char *const known_group[] = { "group", "group_alias", "task", "aggregate_metric_list", "metadata",
	                                   "tag", NULL };

struct opening {
	struct exams *t;
	struct exam_index index;
	const struct exam_source *from;
	size_t cap, cap_groups;
	struct err *e;
};

static int name_one(struct opening *o, const char *name, int depth);

static bool has_task(const struct exams *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->items[i].name, name))
			return true;
	return false;
}

static bool has_group(const struct exams *t, const char *name)
{
	for (size_t i = 0; i < t->n_groups; i++)
		if (!strcmp(t->groups[i].name, name))
			return true;
	return false;
}

static int add_task(struct opening *o, const json_t *config, const char *folder)
{
	struct exams *t = o->t;

	if (has_task(t, json_string_value(json_object_get(config, "task"))))
		return 0;
	if (t->n == TASKS_MOST)
		return err_set(o->e, "more than %d tasks", TASKS_MOST);
	if (t->n == o->cap)
		t->items = mem_grow(t->items, o->cap = MAX(8, 2 * o->cap), sizeof(*t->items));
	if (exam_open(&t->items[t->n], config, folder, o->from, o->e) < 0)
		return -1;
	t->n++;
	return 0;
}

/* --- tags --- */

static bool carries(const json_t *config, const char *tag)
{
	const json_t *tags = json_object_get(config, "tag");
	size_t i;
	json_t *one;

	if (json_is_string(tags))
		return !strcmp(json_string_value(tags), tag);
	json_array_foreach((json_t *)(uintptr_t)tags, i, one)
		if (json_is_string(one) && !strcmp(json_string_value(one), tag))
			return true;
	return false;
}

/* Names of all that carry it, in their order; empty: none. */
static json_t *tagged(const struct opening *o, const char *tag)
{
	json_t *names = json_array(), *config;
	const char *name;

	json_object_foreach(o->index.configs, name, config)
		if (carries(config, tag))
			json_array_append_new(names, json_string(name));
	return names;
}

/* --- groups --- */

/* A member: a name, or a task with keys over those of the one that it names. */
static int add_member(struct opening *o, const json_t *member, int depth, json_t *children)
{
	const char *name = json_string_value(json_is_object(member) ? json_object_get(member, "task") : member);
	const json_t *config = name ? json_object_get(o->index.configs, name) : NULL;

	if (!name)
		return err_set(o->e, "a member of a group is a name, or a mapping with `task`");
	if (!json_is_object(member)) {
		json_t *names = config ? json_array() : tagged(o, name), *one;
		size_t i;
		int status = 0;
		if (!json_array_size(names))
			json_array_append_new(names, json_string(name));
		json_array_foreach(names, i, one) {
			json_array_append(children, one);
			if (status == 0)
				status = name_one(o, json_string_value(one), depth + 1);
		}
		json_decref(names);
		return status;
	}
	const json_t *folder = json_object_get(o->index.folders, name);
	json_t *all = config ? json_deep_copy(config) : json_object();
	json_object_update(all, (json_t *)(uintptr_t)member);
	int status = add_task(o, all, folder ? json_string_value(folder) : "");
	json_array_append_new(children, json_string(name));
	json_decref(all);
	return status;
}

static int keep_group(struct opening *o, const char *name, const json_t *config, const json_t *children)
{
	struct exams *t = o->t;
	const char *alias = json_string_value(json_object_get(config, "group_alias"));
	size_t i;
	json_t *one;

	if (t->n_groups == o->cap_groups)
		t->groups = mem_grow(t->groups, o->cap_groups = MAX(8, 2 * o->cap_groups), sizeof(*t->groups));
	struct exam_group *g = &t->groups[t->n_groups++];
	*g = (struct exam_group){ .name = arena_strdup(&t->mem, name), .config = json_deep_copy(config),
		                  .child = arena_array(&t->mem, json_array_size(children) + 1, sizeof(char *)) };
	g->alias = arena_strdup(&t->mem, alias ? alias : name);
	json_array_foreach((json_t *)(uintptr_t)children, i, one)
		g->child[g->n_children++] = arena_strdup(&t->mem, json_string_value(one));
	return 0;
}

static int add_group(struct opening *o, const char *name, const json_t *config, int depth)
{
	const json_t *members = json_object_get(config, "task");
	json_t *list = json_is_array(members) ? json_incref((json_t *)(uintptr_t)members) : json_pack("[O]", members),
	       *children = json_array(), *one;
	int status = members ? exam_keys(config, known_group, "", o->e) : err_set(o->e, "`task` names no members");
	size_t i;

	if (status == 0 && depth > NESTED_MOST)
		status = err_set(o->e, "groups hold each other more than %d deep", NESTED_MOST);
	json_array_foreach(list, i, one)
		if (status == 0)
			status = add_member(o, one, depth, children);
	if (status == 0 && !has_group(o->t, name))
		status = keep_group(o, name, config, children);
	json_decref(list);
	json_decref(children);
	return status < 0 ? err_prefix(o->e, "group %.80s", name) : 0;
}

/* --- names --- */

static int unknown(const struct opening *o, const char *name)
{
	return err_set(o->e, "%.80s is no task: a file.yaml, a folder of such, or one that is built in was wanted "
	                     "(kungfu eval --tasks list)", name);
}

static int name_one(struct opening *o, const char *name, int depth)
{
	const json_t *config = json_object_get(o->index.configs, name), *folder;
	int status = 0;

	if (config && json_object_get(config, "group"))
		return has_group(o->t, name) ? 0 : add_group(o, name, config, depth);
	folder = json_object_get(o->index.folders, name);
	if (config)
		return add_task(o, config, folder ? json_string_value(folder) : "");
	json_t *names = tagged(o, name), *one;
	size_t i;
	if (!json_array_size(names))
		status = unknown(o, name);
	json_array_foreach(names, i, one)
		if (status == 0)
			status = name_one(o, json_string_value(one), depth + 1);
	json_decref(names);
	return status;
}

/* A folder: all tasks in it, and groups. */
static int name_folder(struct opening *o, const char *dir)
{
	struct exam_index all = { 0 };
	const char *name;
	json_t *config;
	int status = exam_index_folder(&all, dir, o->e);

	if (status == 0 && !json_object_size(all.configs))
		status = err_set(o->e, "%s: no task in its YAML files", dir);
	if (status == 0) {
		json_object_update(o->index.configs, all.configs);
		json_object_update(o->index.folders, all.folders);
	}
	json_object_foreach(all.configs, name, config)
		if (status == 0)
			status = name_one(o, name, 0);
	exam_index_release(&all);
	return status;
}

/* A file; a group's members are looked for beside it. */
static int name_file(struct opening *o, const char *path)
{
	const char *name;

	if (exam_index_file(&o->index, path, &name, o->e) < 0)
		return -1;
	if (json_object_get(json_object_get(o->index.configs, name), "group")) {
		char *own = mem_strdup(name), *folder = io_parent(path);
		int status = exam_index_folder(&o->index, folder, o->e);
		if (status == 0)
			status = name_one(o, own, 0);
		mem_free(own);
		mem_free(folder);
		return status;
	}
	return name_one(o, name, 0);
}

int exams_open(struct exams *t, const char *const *names, size_t n, const struct exam_source *from, struct err *e)
{
	struct opening o = { .t = t, .from = from, .e = e };

	*t = (struct exams){ 0 };
	int status = exam_index_builtin(&o.index, e);
	for (size_t i = 0; i < n && status == 0; i++) {
		bool known = json_object_get(o.index.configs, names[i]) != NULL;
		if (!known && text_ends(names[i], ".yaml"))
			status = name_file(&o, names[i]);
		else if (!known && io_is_dir(names[i]))
			status = name_folder(&o, names[i]);
		else
			status = name_one(&o, names[i], 0);
	}
	exam_index_release(&o.index);
	if (status < 0)
		exams_release(t);
	return status;
}

void exams_release(struct exams *t)
{
	for (size_t i = 0; i < t->n; i++)
		exam_release(&t->items[i]);
	for (size_t i = 0; i < t->n_groups; i++)
		json_decref(t->groups[i].config);
	mem_free(t->items);
	mem_free(t->groups);
	arena_release(&t->mem);
	*t = (struct exams){ 0 };
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char *exams_builtin(void)
{
	struct exam_index x = { 0 };
	struct err e = ERR_INIT;
	struct buf out = BUF_INIT;
	const char *name;
	json_t *config;
	size_t n = 0;

	if (exam_index_builtin(&x, &e) < 0)
		BUG("%s", e.msg);
	const char **names = mem_array(json_object_size(x.configs), sizeof(*names));
	json_object_foreach(x.configs, name, config)
		names[n++] = name;
	qsort(names, n, sizeof(*names), by_name);
	for (size_t i = 0; i < n; i++)
		buf_addf(&out, "%s%s", i ? " " : "", names[i]);
	mem_free(names);
	exam_index_release(&x);
	return buf_detach(&out, NULL);
}
