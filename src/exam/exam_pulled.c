/* exam_pulled: which files of a data set, as a hub has it, are a split's.
 *
 * A path is words: what stands between signs that are neither letters nor digits. A file is of a split where the split
 * is one of its words, or another name of it is (validation: valid, val, dev; train: training; test: testing,
 * evaluation, eval); a set whose only file has no such word is `train`, as `datasets` has it. It is of a config where
 * the config's words stand in it in their order; `default` is all. Several files are one split where their names are
 * the same but for digits (train-00000-of-00002); otherwise they are told, and nothing is guessed. */
#include <ctype.h>
#include <string.h>

#include "base/io.h"
#include "data/rows.h"
#include "exam/exam_parts.h"

enum { DEPTH = 4, FILES = 2000 };

static bool has_rows(const char *name)
{
	static const char *const kinds[] = { ".jsonl", ".json", ".csv", ".tsv", ".parquet" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (rows_are_named(name, kinds[i]))
			return true;
	return false;
}

/* All files of rows below dir, paths from `root` on, in the order of their names. */
static int list(struct exam_files *f, const char *root, const char *below, int depth, struct err *e)
{
	char *dir = *below ? io_join(root, below) : mem_strdup(root), **names;
	size_t n;
	int status = io_list(dir, &names, &n, e);

	for (size_t i = 0; i < n && status == 0; i++) {
		char *path = *below ? io_join(below, names[i]) : mem_strdup(names[i]), *whole = io_join(dir, names[i]);
		if (names[i][0] == '.') {
			mem_free(path);
		} else if (io_is_dir(whole)) {
			status = depth < DEPTH ? list(f, root, path, depth + 1, e) : 0;
			mem_free(path);
		} else if (has_rows(path) && f->n < FILES) {
			f->path = mem_grow(f->path, f->n + 1, sizeof(*f->path));
			f->path[f->n++] = path;
		} else {
			mem_free(path);
		}
		mem_free(whole);
	}
	if (status == 0)
		io_list_free(names, n);
	mem_free(dir);
	return status;
}

/* " data test 00000 of 00002 jsonl ": small letters, a blank around each word. */
static char *words_of(const char *path)
{
	struct buf b = BUF_INIT;

	buf_addc(&b, ' ');
	for (; *path; path++)
		if (isalnum((unsigned char)*path))
			buf_addc(&b, (char)tolower((unsigned char)*path));
		else if (b.data[b.len - 1] != ' ')
			buf_addc(&b, ' ');
	if (b.data[b.len - 1] != ' ')
		buf_addc(&b, ' ');
	return buf_detach(&b, NULL);
}

/* The other names of splits, by their own. */
static const char *const splits[][6] = {
	{ "train", "training" },
	{ "validation", "valid", "val", "dev" },
	{ "test", "testing", "evaluation", "eval" },
};

static bool is_of(const char *words, const char *name)
{
	char *wanted = words_of(name);
	bool is = strstr(words, wanted) != NULL;

	mem_free(wanted);
	return is;
}

static bool is_of_split(const char *words, const char *split)
{
	for (size_t i = 0; i < ARRAY_LEN(splits); i++)
		for (size_t k = 1; splits[i][k] && !strcmp(splits[i][0], split); k++)
			if (is_of(words, splits[i][k]))
				return true;
	return is_of(words, split);
}

static bool is_of_any_split(const char *words)
{
	for (size_t i = 0; i < ARRAY_LEN(splits); i++)
		if (is_of_split(words, splits[i][0]))
			return true;
	return false;
}

/* The same names but for digits. */
static bool are_shards(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a != *b)
			return false;
		if (!*a)
			return true;
	}
}

static int refuse_many(const struct exam_files *f, const char *dir, const char *split, struct err *e)
{
	struct buf names = BUF_INIT;

	for (size_t i = 0; i < f->n && i < 6; i++)
		buf_addf(&names, "%s%.80s", i ? ", " : "", f->path[i]);
	err_set(e, "which files of %s are the split %s is not clear: %s%s; link yours as TASK/%s.jsonl below "
	           "--task-data", dir, split, buf_str(&names), f->n > 6 ? " …" : "", split);
	buf_release(&names);
	return -1;
}

int exam_pulled(struct exam_files *out, const char *dir, const char *name, const char *split, struct err *e)
{
	struct exam_files all = { .n = 0 };
	int status = list(&all, dir, "", 0, e);
	bool parquet_alone = true; /* it is taken, and refused by name, where nothing else is there */

	for (size_t i = 0; i < all.n; i++)
		parquet_alone &= rows_are_named(all.path[i], ".parquet");
	*out = (struct exam_files){ mem_array(all.n + 1, sizeof(*out->path)), 0 };
	for (size_t i = 0; i < all.n && status == 0; i++) {
		if (rows_are_named(all.path[i], ".parquet") && !parquet_alone)
			continue;
		char *words = words_of(all.path[i]);
		bool is = name && strcmp(name, "default") != 0 ? is_of(words, name) : true;
		bool only = all.n == 1 && !strcmp(split, "train") && !is_of_any_split(words);
		if (is && (only || is_of_split(words, split)))
			out->path[out->n++] = mem_strdup(all.path[i]);
		mem_free(words);
	}
	for (size_t i = 1; i < out->n && status == 0; i++)
		if (!are_shards(out->path[0], out->path[i]))
			status = refuse_many(out, dir, split, e);
	for (size_t i = 0; i < out->n; i++) {
		char *whole = io_join(dir, out->path[i]);
		mem_free(out->path[i]);
		out->path[i] = whole;
	}
	exam_files_release(&all);
	return status;
}

void exam_files_release(struct exam_files *f)
{
	for (size_t i = 0; i < f->n; i++)
		mem_free(f->path[i]);
	mem_free(f->path);
	*f = (struct exam_files){ .n = 0 };
}
