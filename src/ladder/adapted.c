/* adapted: artefact.json is {format, rung, base, files, kind, …}: `files` is the folder of the rung within the
 * artefact, and adapter or model a path in that. See adapted.h. */
#include "ladder/adapted.h"

#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "learn/learner.h"

enum { FORMAT = 1 };

bool adapted_is(const char *path)
{
	char *file = io_join(path, ADAPTED_FILE);
	bool is = io_is_dir(path) && io_exists(file);

	mem_free(file);
	return is;
}

static const char *text(const json_t *j, const char *key) { return json_string_value(json_object_get(j, key)); }

/* A path that a part names, within the folder of its files. */
static char *path_in(const json_t *part, const char *dir, const char *key)
{
	const char *name = text(part, key);

	if (!name)
		return NULL;
	return !strcmp(name, ".") ? mem_strdup(dir) : io_join(dir, name);
}

/* What answers: the artefact itself, or the second part of a cascade. */
static void read_part(struct adapted *a, const json_t *part, const char *dir)
{
	a->adapter = path_in(part, dir, "adapter");
	a->model = path_in(part, dir, "model");
	a->learner = path_in(part, dir, "learner");
	a->prompt = path_in(part, dir, "prompt");
	a->calibrate = text(part, "calibrate");
	a->asks = text(part, "asks");
	a->documents = json_object_get(part, "documents");
	const char *base = text(part, "base");
	if (!a->model && !a->learner)
		a->model = mem_strdup(base ? base : text(a->json, "base"));
}

static int read_cascade(struct adapted *a, const char *path, struct err *e)
{
	const json_t *first = json_object_get(a->json, "first"), *second = json_object_get(a->json, "second");
	const char *first_files = text(first, "files"), *second_files = text(second, "files");

	if (!first_files || !second_files || !text(first, "learner"))
		return err_set(e, "%s/" ADAPTED_FILE ": a cascade without its two ways", path);
	char *dir = io_join(a->dir, first_files);
	a->first = path_in(first, dir, "learner");
	mem_free(dir);
	dir = io_join(a->dir, second_files);
	read_part(a, second, dir);
	mem_free(dir);
	if (!a->asks)
		a->asks = text(first, "asks");
	a->threshold = json_number_value(json_object_get(a->json, "threshold"));
	return 0;
}

static int read_facts(struct adapted *a, const char *path, struct err *e)
{
	const char *base = text(a->json, "base"), *files = text(a->json, "files");
	int status = 0;

	a->kind = text(a->json, "kind");
	if (json_integer_value(json_object_get(a->json, "format")) != FORMAT || !a->kind || !base || !files)
		return err_set(e, "%s/" ADAPTED_FILE ": no artefact of format %d", path, FORMAT);
	a->dir = io_join(path, files);
	a->asked = text(a->json, "asked");
	if (!strcmp(a->kind, "cascade"))
		status = read_cascade(a, path, e);
	else
		read_part(a, a->json, a->dir);
	if (status == 0 && a->model && !io_exists(a->model))
		return err_set(e, "%s: its model is not there any more: %s", path, a->model);
	const char *index = text(a->documents, "index");
	if (status == 0 && a->documents && (!index || !io_exists(index)))
		return err_set(e, "%s: the index of its documents is not there any more: %s", path, index ? index : "");
	return status;
}

int adapted_open(struct adapted *a, const char *path, struct err *e)
{
	char *file = io_join(path, ADAPTED_FILE);
	int status = 0;

	*a = (struct adapted){ .json = jsonx_load_file(file, e) };
	mem_free(file);
	if (!a->json || read_facts(a, path, e) < 0)
		status = -1;
	if (status)
		adapted_close(a);
	return status;
}

char *adapted_learner(const char *path)
{
	struct err ignored = ERR_INIT;
	struct adapted a;
	char *learner = NULL;

	if (learner_is_in(path))
		return mem_strdup(path);
	if (adapted_is(path) && adapted_open(&a, path, &ignored) == 0) {
		learner = a.learner && !a.first ? mem_strdup(a.learner) : NULL;
		adapted_close(&a);
	}
	return learner;
}

char *adapted_first(const char *path, double *threshold, char **rest)
{
	struct err ignored = ERR_INIT;
	struct adapted a;
	char *first = NULL;

	*rest = NULL;
	if (!adapted_is(path) || adapted_open(&a, path, &ignored) < 0)
		return NULL;
	if (a.first) {
		first = mem_strdup(a.first);
		*rest = a.learner ? mem_strdup(a.learner) : NULL;
		*threshold = a.threshold;
	}
	adapted_close(&a);
	return first;
}

/* The column in which its rows asked: query, prompt, messages, instruction, else text. mem_free. */
static char *asks_of(const char *path)
{
	struct err ignored = ERR_INIT;
	struct adapted a;
	char *asks = NULL;

	if (adapted_is(path) && adapted_open(&a, path, &ignored) == 0) {
		asks = a.asks ? mem_strdup(a.asks) : NULL;
		adapted_close(&a);
	}
	return asks ? asks : mem_strdup("text");
}

json_t *adapted_row(const char *path, const char *text, size_t n)
{
	json_t *word = jsonx_text(text, n), *row;
	char *asks = asks_of(path);

	if (!strcmp(asks, "query"))
		row = json_pack("{s:o, s:[s], s:i}", "query", word, "choices", "-", "gold", 0);
	else if (!strcmp(asks, "prompt"))
		row = json_pack("{s:o}", "prompt", word);
	else if (!strcmp(asks, "messages"))
		row = json_pack("{s:[{s:s, s:o}]}", "messages", "role", "user", "content", word);
	else if (!strcmp(asks, "instruction"))
		row = json_pack("{s:o, s:s, s:s}", "instruction", word, "input", "", "output", "-");
	else
		row = json_pack("{s:o}", "text", word);
	mem_free(asks);
	return row;
}

void adapted_close(struct adapted *a)
{
	json_decref(a->json);
	mem_free(a->model);
	mem_free(a->adapter);
	mem_free(a->learner);
	mem_free(a->prompt);
	mem_free(a->first);
	mem_free(a->dir);
	*a = (struct adapted){ .json = NULL };
}

int adapted_write(const char *dir, const char *base, const char *rung, const char *files, json_t *leaves, struct err *e)
{
	char *file = io_join(dir, ADAPTED_FILE);
	json_t *j = json_pack("{s:i, s:s, s:s, s:s}", "format", FORMAT, "rung", rung, "base", base, "files", files);

	json_object_update(j, leaves);
	json_decref(leaves);
	int status = jsonx_write_file(file, j, e);
	json_decref(j);
	mem_free(file);
	return status;
}
