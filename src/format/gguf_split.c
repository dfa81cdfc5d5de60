/* gguf_split: a model in several files. Part i of n is named NAME-<i>-of-<n>.gguf, both of five digits, counted from 1;
 * split.no counts from 0, split.count is n, split.tensors.count all tensors (llama.cpp's gguf-split and
 * llama-model-loader.cpp). The first part has the model's keys, and maybe no tensors. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "format/gguf.h"

/* "-00001-of-00003.gguf" */
static void ending(char out[64], int64_t part, int64_t count)
{
	snprintf(out, 64, "-%05lld-of-%05lld.gguf", (long long)part, (long long)count);
}

/* A name for part `part` (from 1) in the place of this one, NULL: it is not named as a part. */
static char *name_of(const char *path, int64_t this, int64_t part, int64_t count)
{
	char own[64], other[64];

	ending(own, this, count);
	ending(other, part, count);
	return text_ends(path, own) ? mem_printf("%.*s%s", (int)text_stem(path, own), path, other) : NULL;
}

static int check_part(const struct gguf *g, int64_t no, int64_t count, struct err *e)
{
	int64_t found, of;

	if (gguf_int(g, "split.no", true, 0, &found, e) < 0 || gguf_int(g, "split.count", true, 0, &of, e) < 0)
		return -1;
	if (found != no || of != count)
		return err_set(e, "%s: it says that it is part %lld of %lld, wanted %lld of %lld", g->path,
		               (long long)found + 1, (long long)of, (long long)no + 1, (long long)count);
	return 0;
}

static int open_part(struct gguf *g, int64_t no, int64_t count, struct err *e)
{
	char *path = name_of(g->path, 1, no + 1, count);
	struct gguf *part = &g->parts[g->n_parts];
	int status = 0;

	if (!io_exists(path))
		status = err_set(e, "%s: it is the first of %lld parts, and %s is missing", g->path, (long long)count,
		                 path);
	if (status == 0)
		status = gguf_open_file(part, path, e);
	if (status == 0) {
		g->n_parts++;
		status = check_part(part, no, count, e);
	}
	mem_free(path);
	return status;
}

/* The tensors of all parts as g's. */
static int take_tensors(struct gguf *g, struct err *e)
{
	size_t n = g->n_tensors, at = g->n_tensors;
	int64_t wanted;

	for (size_t i = 0; i < g->n_parts; i++)
		n += g->parts[i].n_tensors;
	if (gguf_int(g, "split.tensors.count", false, (int64_t)n, &wanted, e) < 0)
		return -1;
	if (wanted != (int64_t)n)
		return err_set(e, "%s: its %zu parts have %zu tensors, split.tensors.count says %lld", g->path,
		               g->n_parts + 1, n, (long long)wanted);
	struct gguf_tensor *all = arena_array(&g->mem, n, sizeof(*all));
	if (at)
		memcpy(all, g->tensors, at * sizeof(*all));
	for (size_t i = 0; i < g->n_parts; at += g->parts[i++].n_tensors)
		if (g->parts[i].n_tensors)
			memcpy(all + at, g->parts[i].tensors, g->parts[i].n_tensors * sizeof(*all));
	g->tensors = all;
	g->n_tensors = n;
	return gguf_sort_names(g, e);
}

int gguf_open_parts(struct gguf *g, struct err *e)
{
	int64_t no, count;

	if (gguf_int(g, "split.count", false, 1, &count, e) < 0 || gguf_int(g, "split.no", false, 0, &no, e) < 0)
		return -1;
	if (count == 0 || count == 1)
		return 0;
	if (count < 0 || count > UINT16_MAX || no < 0 || no >= count)
		return err_set(e, "%s: it says that it is part %lld of %lld", g->path, (long long)no + 1,
		               (long long)count);
	char *first = name_of(g->path, no + 1, 1, count);
	int status = 0;
	if (!first)
		status = err_set(e,
		                 "%s: it is part %lld of %lld of a model, but not named as one: "
		                 "NAME-%05lld-of-%05lld.gguf was wanted",
		                 g->path, (long long)no + 1, (long long)count, (long long)no + 1, (long long)count);
	else if (no > 0)
		status = err_set(e, "%s: it is part %lld of %lld of a model; name the first, %s", g->path,
		                 (long long)no + 1, (long long)count, first);
	mem_free(first);
	if (status == 0)
		g->parts = arena_array(&g->mem, (size_t)count - 1, sizeof(*g->parts));
	for (int64_t i = 1; i < count && status == 0; i++)
		status = open_part(g, i, count, e);
	return status < 0 ? -1 : take_tensors(g, e);
}
