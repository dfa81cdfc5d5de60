/* corpus_mix: see corpus_mix.h. A source's name in the shards is its last part, with '-' for what no name may have. */
#include "cmd/data/corpus_mix.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"

static size_t add_source(struct corpus_mix *m, const char *path, double weight, double epochs)
{
	m->sources = mem_grow(m->sources, m->n + 1, sizeof(*m->sources));
	m->sources[m->n] = (struct corpus_source){ corpus_source_name(&m->mem, path), weight, epochs };
	return m->n++;
}

/* Without slashes at its end. */
static char *plain_of(struct corpus_mix *m, const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return arena_strndup(&m->mem, path, n);
}

/* --- --mix --- */

/* One number behind a ':' from the end of *n bytes, which it takes off; false: there is none. */
static bool take_number(const char *s, size_t *n, double *out)
{
	const char *colon = memrchr(s, ':', *n);
	char *end;

	if (!colon)
		return false;
	*out = strtod(colon + 1, &end);
	if (end == colon + 1 || end != s + *n || !(*out > 0) || isinf(*out))
		return false;
	*n = (size_t)(colon - s);
	return true;
}

static int parse_part(struct corpus_mix *m, const char *s, size_t n, char **name, struct corpus_source *out,
                      struct err *e)
{
	double last, before;
	size_t whole = n;

	*out = (struct corpus_source){ .weight = NAN, .epochs = NAN };
	*name = NULL;
	if (!take_number(s, &n, &last) || !n)
		return err_set(e, "--mix: '%.*s' is no NAME:WEIGHT or NAME:WEIGHT:EPOCHS of positive numbers",
		               (int)whole, s);
	bool two = take_number(s, &n, &before) && n;
	out->weight = two ? before : last;
	out->epochs = two ? last : NAN;
	*name = plain_of(m, arena_strndup(&m->mem, s, n));
	return 0;
}

/* The path that a name means, in mem; NULL: nothing. */
static char *find_path(struct corpus_mix *m, const char *const *paths, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		char *plain = plain_of(m, paths[i]), *child = io_join(plain, name);
		char *inside = io_is_dir(plain) && io_exists(child) ? arena_strdup(&m->mem, child) : NULL;
		mem_free(child);
		if (!strcmp(plain, name) || !strcmp(io_basename(plain), name))
			return plain;
		if (inside)
			return inside;
	}
	return NULL;
}

static int add_part(struct corpus_mix *m, const char *const *paths, size_t n_paths, const char *s, size_t n,
                    struct err *e)
{
	struct corpus_source part;
	char *name;

	if (parse_part(m, s, n, &name, &part, e) < 0)
		return -1;
	char *path = find_path(m, paths, n_paths, name);
	if (!path)
		return err_set(e, "--mix: there is no '%s' among the inputs or in their folders", name);
	return input_list_add(&m->files, path, name, add_source(m, name, part.weight, part.epochs), e);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct input_file *)a)->path, ((const struct input_file *)b)->path);
}

/* What the words have and no source has. */
static int find_outside(struct corpus_mix *m, const char *const *paths, size_t n, struct err *e)
{
	struct input_list all = { 0 };
	struct input_file *known = mem_array(m->files.n + 1, sizeof(*known));
	int status = 0;

	memcpy(known, m->files.items, m->files.n * sizeof(*known));
	qsort(known, m->files.n, sizeof(*known), by_path);
	for (size_t i = 0; i < n && !status; i++)
		status = input_list_add(&all, plain_of(m, paths[i]), paths[i], 0, e);
	for (size_t i = 0; i < all.n && !status; i++) {
		if (bsearch(&all.items[i], known, m->files.n, sizeof(*known), by_path))
			continue;
		if (!m->n_outside++)
			m->outside = arena_strdup(&m->mem, all.items[i].path);
	}
	mem_free(known);
	input_list_release(&all);
	return status;
}

int corpus_mix_make(struct corpus_mix *m, const char *const *paths, size_t n, const char *mix, struct err *e)
{
	*m = (struct corpus_mix){ 0 };
	if (!mix) {
		for (size_t i = 0; i < n; i++) {
			char *plain = plain_of(m, paths[i]);
			if (input_list_add(&m->files, plain, io_basename(plain), add_source(m, plain, NAN, NAN), e) < 0)
				return -1;
		}
		return 0;
	}
	for (const char *at = mix; *at;) {
		size_t part = strcspn(at, ",");
		if (add_part(m, paths, n, at, part, e) < 0)
			return -1;
		at += part + (at[part] == ',');
	}
	return m->n ? find_outside(m, paths, n, e) : err_set(e, "--mix names no source");
}

void corpus_mix_release(struct corpus_mix *m)
{
	mem_free(m->sources);
	input_list_release(&m->files);
	arena_release(&m->mem);
	*m = (struct corpus_mix){ 0 };
}
