/* text_rows: lines or rows. See text_rows.h. */
#include "cmd/text_rows.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/utf8.h"

bool text_rows_are_rows(const char *path)
{
	static const char *const endings[] = { ".jsonl", ".json", ".csv", ".tsv" };
	bool is = io_is_dir(path);

	for (size_t i = 0; i < ARRAY_LEN(endings); i++)
		is |= rows_are_named(path, endings[i]);
	return is;
}

static int add_line(struct rows *r, const char *path, const char *text, size_t n, struct err *e)
{
	size_t line = r->n + 1, bad;

	if (!utf8_valid(text, n, &bad))
		return err_set(e, "%s:%zu: invalid UTF-8 at byte %zu of the line", path, line, bad + 1);
	if (r->n == r->cap) {
		r->cap = MAX((size_t)256, 2 * r->cap);
		r->items = mem_grow(r->items, r->cap, sizeof(*r->items));
	}
	r->items[r->n++] = (struct row){ json_pack("{s:o}", "text", json_stringn(text, n)), path, line };
	return 0;
}

/* Lines end with \n or \r\n; one that is empty is a text too. */
static int read_lines(struct rows *r, const char *path, struct err *e)
{
	static const char mark[] = "\xef\xbb\xbf";
	struct buf b = BUF_INIT;
	int status = io_read_gz(&b, path, e);
	const char *at = buf_str(&b), *end = at + b.len;

	if (status == 0 && b.len >= strlen(mark) && !memcmp(at, mark, strlen(mark)))
		at += strlen(mark);
	while (status == 0 && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		status = add_line(r, path, at, n - (n && at[n - 1] == '\r'), e);
		at += n + 1;
	}
	buf_release(&b);
	return status;
}

int text_rows_read(struct text_rows *t, const char *path, int64_t limit, struct err *e)
{
	struct rows *r = &t->rows;
	int status = text_rows_are_rows(path) ? rows_load_objects(r, path, e) : read_lines(r, path, e);

	if (status == 0 && limit != OPT_UNSET_INT)
		rows_cut(r, (size_t)limit);
	return status == 0 && r->n == 0 ? err_set(e, "%s holds no texts", path) : status;
}

int text_rows_encode(struct text_rows *t,
                     int (*one)(void *ctx, const struct row *r, struct document *d, struct arena *mem, size_t *cut,
                                struct err *e),
                     void *ctx, struct err *e)
{
	t->docs = arena_array(&t->mem, t->rows.n, sizeof(*t->docs));
	t->pointers = arena_array(&t->mem, t->rows.n, sizeof(*t->pointers));
	t->longest = 1;
	for (size_t i = 0; i < t->rows.n; i++) {
		const struct row *r = &t->rows.items[i];
		struct document *d = &t->docs[i];
		size_t cut = 0;
		*d = (struct document){ .file = r->file, .line = r->line, .choice = -1, .adapter = -1 };
		if (one(ctx, r, d, &t->mem, &cut, e) < 0)
			return err_prefix(e, "%s:%zu", r->file, r->line);
		t->pointers[i] = d;
		t->longest = MAX(t->longest, d->n);
		t->tokens += d->n;
		t->cut_tokens += (int64_t)cut;
		t->n_cut += cut > 0;
	}
	return 0;
}

void text_rows_release(struct text_rows *t)
{
	rows_release(&t->rows);
	arena_release(&t->mem);
}

int text_length(const struct model *m, int64_t given, int32_t *length, struct err *e)
{
	if (given != OPT_UNSET_INT && given > m->config.n_ctx)
		return err_set(e, "--max-length %lld: the model has %d positions", (long long)given, m->config.n_ctx);
	if (given != OPT_UNSET_INT)
		*length = (int32_t)given;
	return 0;
}
