/* output_check: what a command will write, before any work: is there a place for it, may this process write there, is
 * its name one of the format that is written, and, compared by device and inode, is it something that the command
 * reads? It looks at the table of options alone, so it holds for every command: an option of one of the names below is
 * an output, a file's or a folder's by the word that help has for it, all other words are inputs, if they are files at
 * all.
 *
 * A word FILE.svg says the format. A name whose ending says another one (x.png) is refused; an ending that says nothing
 * is nobody's concern. A folder has none of these endings. */
#include "cmd/output_check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"

static const char *const outputs[] = { "out", "html", "details", "trace", "fewshot-out", "guard-log", "output-path" };

/* Endings that say a format; one row is one format. */
static const char *const formats[][4] = {
	{ "gguf", "ggml" },        { "safetensors" },       { "bin" },         { "pt", "pth", "ckpt" },
	{ "onnx" },                { "npy" },               { "npz" },         { "json", "jsonl", "ndjson" },
	{ "csv" },                 { "tsv" },               { "parquet" },     { "xlsx", "xls" },
	{ "html", "htm" },         { "svg" },               { "png" },         { "jpg", "jpeg" },
	{ "gif" },                 { "webp" },              { "pdf" },         { "zip" },
	{ "gz", "tgz", "tar" },    { "xz" },                { "zst" },         { "yaml", "yml" },
};

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

/* Where an option's value is: of one that rows of another table bring, in the first one's struct, as all have it. */
static const void *field_of(const struct opt_parse *p, const struct opt *o)
{
	const char *target = p->target;

	if (!o->n_uses)
		return target + o->offset;
	const struct opt_use *u = &o->uses[0];
	void *const *rows = *(void *const *const *)(const void *)(target + u->from->offset);
	const char *row = opt_row_options(u->from->rows, rows, u->owner);
	return row + u->as->offset;
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
		const void *field = field_of(p, o);
		const struct opt_list *list = field;
		if (o->type == OPT_TYPE_STRING && !is_output(o) && *(const char *const *)field)
			status = compare(option, path, &out, *(const char *const *)field, e);
		for (size_t i = 0; o->type == OPT_TYPE_LIST && i < list->n && !status; i++)
			status = compare(option, path, &out, list->items[i], e);
	}
	return status;
}

static int refuse_folder(const char *option, const char *path, const char *parent, struct err *e)
{
	return errno == ENOENT ? err_set(e, "--%s %s: the folder %s does not exist", option, path, parent) :
	                         err_set(e, "--%s %s: %s: %s", option, path, parent, strerror(errno));
}

/* Of what is missing at the end of a name one part is made, where `make`. */
static int check_missing(const char *option, const char *path, const char *parent, bool make, struct err *e)
{
	char *above = io_parent(parent);
	int status = 0;

	if (access(above, W_OK | X_OK))
		status = refuse_folder(option, path, errno == ENOENT ? parent : above, e);
	else if (make && mkdir(parent, 0777) && errno != EEXIST)
		status = refuse_folder(option, path, parent, e);
	mem_free(above);
	return status;
}

/* The folder that something new is to lie in. */
static int check_parent(const char *option, const char *path, bool make, struct err *e)
{
	struct stat st;
	char *parent = io_parent(path);
	int status = 0;

	if (stat(parent, &st))
		status = errno == ENOENT ? check_missing(option, path, parent, make, e) :
		                           refuse_folder(option, path, parent, e);
	else if (!S_ISDIR(st.st_mode))
		status = err_set(e, "--%s %s: %s is no folder", option, path, parent);
	else if (access(parent, W_OK | X_OK))
		status = refuse_folder(option, path, parent, e);
	mem_free(parent);
	return status;
}

/* The row of formats that an ending says; −1: none. */
static int format_of(const char *ending, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		for (size_t j = 0; j < ARRAY_LEN(formats[i]) && formats[i][j]; j++)
			if (strlen(formats[i][j]) == n && !strncasecmp(formats[i][j], ending, n))
				return (int)i;
	return -1;
}

static const char *ending_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name ? dot + 1 : "";
}

bool output_is_special(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int check_ending(const char *option, const char *path, const char *word, struct err *e)
{
	struct stat st;
	const char *ending = ending_of(io_basename(path)), *wanted = ending_of(word);
	int format = format_of(ending, strlen(ending));
	bool file = !strncmp(word, "FILE", 4), either = !strcmp(word, "PATH");

	if (format < 0 || (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) || (either && !strcasecmp(ending, "gguf")) ||
	    (file && (!*wanted || format == format_of(wanted, strlen(wanted)))) ||
	    (!file && !either && strcmp(word, "DIR") != 0))
		return 0;
	if (file)
		return err_set(e, "--%s %s: what is written is no .%s; name a file that ends in .%s", option, path,
		               ending, wanted);
	return err_set(e, "--%s %s: a folder is written, and that names a .%s file; name a folder%s", option, path,
	               ending, either ? ", or a file that ends in .gguf" : "");
}

int output_place(const char *option, const char *path, enum output_kind kind, bool make, struct err *e)
{
	struct stat st;

	if (!*path)
		return err_set(e, "--%s: an empty name", option);
	bool there = stat(path, &st) == 0;
	if (!there && errno != ENOENT)
		return err_set(e, "--%s %s: %s", option, path, strerror(errno));
	if (there && kind == OUTPUT_FILE && S_ISDIR(st.st_mode))
		return err_set(e, "--%s %s is a folder, the name of a file was wanted", option, path);
	if (there && kind == OUTPUT_FOLDER && !S_ISDIR(st.st_mode))
		return err_set(e, "--%s %s is a file, the name of a folder was wanted", option, path);
	if (there && access(path, W_OK))
		return err_set(e, "--%s %s cannot be written: %s", option, path, strerror(errno));
	/* A folder is written into, a pipe or a device too; a file is made beside the one that it replaces. */
	if (there && (!S_ISREG(st.st_mode) || io_is_open_file(path)))
		return 0;
	char *target = io_follow(path);
	int status = check_parent(option, target ? target : path, make, e);
	mem_free(target);
	return status;
}

/* The word for the value says it: FILE, FILE.svg; DIR; PATH is either. */
static enum output_kind kind_of(const struct opt *o)
{
	const char *word = o->arg ? o->arg : "";

	return !strncmp(word, "FILE", 4) ? OUTPUT_FILE : !strcmp(word, "DIR") ? OUTPUT_FOLDER : OUTPUT_EITHER;
}

int output_check(const struct opt_parse *p, struct err *e)
{
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		if (o->type != OPT_TYPE_STRING || !is_output(o))
			continue;
		const char *path = *(const char *const *)field_of(p, o);
		if (path && (check_ending(o->name, path, o->arg ? o->arg : "", e) < 0 ||
		             against_inputs(p, o->name, path, e) < 0))
			return -1;
	}
	return 0;
}

int output_places(const struct opt_parse *p, bool make, struct err *e)
{
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		if (o->type != OPT_TYPE_STRING || !is_output(o))
			continue;
		const char *path = *(const char *const *)field_of(p, o);
		if (path && output_place(o->name, path, kind_of(o), make, e) < 0)
			return -1;
	}
	return 0;
}
