/* output_check: compares by device and inode what a command writes with what it reads, before any work. It looks at the
 * table of options alone, so it holds for every command: an option of one of the names below is an output, all other
 * words are inputs, if they are files at all. */
#include "cmd/output_check.h"

#include <string.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/mem.h"

static const char *const outputs[] = { "out", "html", "details", "trace" };

static bool is_output(const struct opt *o)
{
	for (size_t i = 0; i < ARRAY_LEN(outputs); i++)
		if (!strcmp(o->name, outputs[i]))
			return true;
	return false;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Does the folder hold the file under this name? */
static bool holds(const char *folder, const char *path, const struct stat *file)
{
	struct stat st;
	char *inside = io_join(folder, io_basename(path));
	bool same = stat(inside, &st) == 0 && is_same(&st, file);

	mem_free(inside);
	return same;
}

static int compare(const char *option, const char *path, const struct stat *out, const char *input, struct err *e)
{
	const char *named = strchr(input, '='); /* NAME=PATH */
	struct stat in;

	if (stat(input, &in) && !(named && stat(input = named + 1, &in) == 0))
		return 0;
	if (is_same(&in, out))
		return err_set(e, "--%s %s is %s, which the command reads; name another file", option, path, input);
	if (S_ISDIR(in.st_mode) && holds(input, path, out))
		return err_set(e, "--%s %s is a file of %s, which the command reads; name another file", option, path,
		               input);
	return 0;
}

static int against_inputs(const struct opt_parse *p, const char *option, const char *path, struct err *e)
{
	struct stat out;
	int status = 0;

	if (stat(path, &out) || !S_ISREG(out.st_mode))
		return 0;
	for (size_t i = 0; i < p->n_positional && !status; i++)
		status = compare(option, path, &out, p->positional[i], e);
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END && !status; o++) {
		const void *field = (const char *)p->target + o->offset;
		const struct opt_list *list = field;
		if (o->type == OPT_TYPE_STRING && !is_output(o) && *(const char *const *)field)
			status = compare(option, path, &out, *(const char *const *)field, e);
		for (size_t i = 0; o->type == OPT_TYPE_LIST && i < list->n && !status; i++)
			status = compare(option, path, &out, list->items[i], e);
	}
	return status;
}

int output_check(const struct opt_parse *p, struct err *e)
{
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		if (o->type != OPT_TYPE_STRING || !is_output(o))
			continue;
		const char *path = *(const char *const *)((const char *)p->target + o->offset);
		if (path && against_inputs(p, o->name, path, e) < 0)
			return -1;
	}
	return 0;
}
