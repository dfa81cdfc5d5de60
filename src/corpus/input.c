/* input: see input.h. A buffer is filled until a text's end is in it. An array of JSON is read whole, since its objects
 * cannot be told apart without reading it: it is refused beyond 256 MiB. */
#include "corpus/input.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/stream.h"
#include "base/text.h"

enum { PIECE = 1 << 18, SNIFFED = 8 << 10, DEEPEST = 64 };
static const size_t MOST_ROW = INPUT_MOST_BYTES, MOST_ARRAY = (size_t)256 << 20;

/* --- files --- */

/* A file or folder; not a pipe, which would be waited for. */
static bool is_plain(const char *path)
{
	struct stat st;
	return stat(path, &st) != 0 || S_ISREG(st.st_mode) ||
	       S_ISDIR(st.st_mode); /* what is not there says so itself */
}

static int64_t changed_at(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec : 0;
}

static void add_file(struct input_list *l, const char *path, const char *name, size_t source, size_t size)
{
	if (l->n == l->cap) {
		l->cap = MAX(64, 2 * l->cap);
		l->items = mem_grow(l->items, l->cap, sizeof(*l->items));
	}
	l->items[l->n++] = (struct input_file){ arena_strdup(&l->mem, path), arena_strdup(&l->mem, name), source, size,
		                                changed_at(path) };
	l->bytes += size;
}

static int add_path(struct input_list *l, const char *path, const char *name, size_t source, int depth, struct err *e)
{
	char **names;
	size_t n, size;
	int status;

	if (!io_is_dir(path)) {
		if (io_size(path, &size, e) < 0)
			return -1;
		add_file(l, path, name, source, size);
		return 0;
	}
	if (depth > DEEPEST)
		return err_set(e, "%s lies more than %d folders deep: a link to a folder above it?", path, DEEPEST);
	if (stop_look(e, "folders were looked through") < 0 || io_list(path, &names, &n, e) < 0)
		return -1;
	status = 0;
	for (size_t i = 0; i < n && !status; i++) {
		if (names[i][0] == '.')
			continue;
		char *child = io_join(path, names[i]), *called = io_join(name, names[i]);
		if (is_plain(child))
			status = add_path(l, child, called, source, depth + 1, e);
		mem_free(child);
		mem_free(called);
	}
	io_list_free(names, n);
	return status;
}

int input_list_add(struct input_list *l, const char *path, const char *name, size_t source, struct err *e)
{
	return add_path(l, path, name, source, 0, e);
}

void input_list_release(struct input_list *l)
{
	mem_free(l->items);
	arena_release(&l->mem);
	*l = (struct input_list){ 0 };
}

/* --- one file --- */

struct input {
	struct stream *stream;
	struct hash_stream *hash;
	struct input_options o;
	enum input_kind kind;
	bool ended;
	bool behind; /* a separator, whose line ends are passed over */
	char *data;  /* [cap], of which [from, to) are not given out */
	size_t from, to, cap;
	size_t scanned; /* behind from: known to hold no end */
	uint64_t line, bytes;
	json_t *array;
	size_t place;
	struct buf row;
	const char *path;
};

static bool is_kind(const char *path, const char *ending)
{
	size_t n = strlen(path), m = strlen(ending);

	if (n > 3 && !strcasecmp(path + n - 3, ".gz"))
		n -= 3;
	return n > m && !strncasecmp(path + n - m, ending, m);
}

/* Another piece behind what is there. */
static int fill(struct input *x, struct err *e)
{
	if (x->from && x->from > x->cap / 2) {
		memmove(x->data, x->data + x->from, x->to - x->from);
		x->to -= x->from;
		x->from = 0;
	}
	if (x->cap - x->to < PIECE) {
		x->cap = MAX(2 * x->cap, x->to + PIECE);
		x->data = mem_grow(x->data, x->cap, 1);
	}
	if (stop_look(e, "texts were read") < 0)
		return -1;
	int64_t got = stream_read(x->stream, x->data + x->to, PIECE, e);
	if (got < 0)
		return -1;
	x->ended = got < PIECE;
	if (got > 0) {
		hash_add(x->hash, x->data + x->to, (size_t)got);
		x->to += (size_t)got;
		x->bytes += (uint64_t)got;
	}
	return 0;
}

static const char *at(const struct input *x) { return x->data + x->from; }
static size_t left(const struct input *x) { return x->to - x->from; }

static enum input_kind kind_of(const struct input *x, const char *path)
{
	size_t i = 0, n = left(x);

	if (is_kind(path, ".csv") || is_kind(path, ".tsv"))
		return INPUT_TABLE;
	if (is_kind(path, ".jsonl") || is_kind(path, ".ndjson"))
		return INPUT_ROWS;
	if (memchr(at(x), 0, MIN(n, (size_t)SNIFFED)))
		return INPUT_BINARY;
	if (!is_kind(path, ".json"))
		return INPUT_TEXTS;
	while (i < n && strchr(" \t\r\n", at(x)[i]))
		i++;
	return i < n && at(x)[i] == '[' ? INPUT_ARRAY : INPUT_ROWS;
}

static int read_array(struct input *x, struct err *e)
{
	while (!x->ended && left(x) <= MOST_ARRAY)
		if (fill(x, e) < 0)
			return -1;
	if (!x->ended)
		return err_set(
			e,
			"%s is one JSON array of more than 256 MiB; of a JSON object a line (.jsonl) there can be "
			"any number",
			x->path);
	x->array = jsonx_load_nul(at(x), left(x), x->path, e);
	return x->array ? 0 : -1;
}

int input_open(struct input **out, const struct input_file *f, const struct input_options *o, enum input_kind *kind,
               struct err *e)
{
	struct input *x = mem_alloc(sizeof(*x));
	char hex[33];

	*x = (struct input){ .hash = hash_begin(), .o = *o, .line = 1, .path = f->path };
	*out = NULL;
	int status = stream_open(&x->stream, f->path, e);
	if (status == 0)
		status = fill(x, e);
	if (status == 0) {
		static const char mark[] = "\xef\xbb\xbf"; /* of a file that an editor of Windows wrote */
		x->from = left(x) >= 3 && !memcmp(at(x), mark, 3) ? 3 : 0;
		*kind = x->kind = kind_of(x, f->path);
		status = x->kind == INPUT_ARRAY ? read_array(x, e) : 0;
	}
	if (status < 0 || x->kind == INPUT_TABLE || x->kind == INPUT_BINARY)
		input_close(x, hex);
	else
		*out = x;
	return status;
}

/* Gives out n bytes, of which the first `text` are the text. */
static int give(struct input *x, size_t text, size_t n, bool cut, struct input_text *out)
{
	*out = (struct input_text){ at(x), text, x->kind == INPUT_ROWS, cut, x->line };
	for (const char *p = at(x), *end = p + n; p < end && (p = memchr(p, '\n', (size_t)(end - p))); p++)
		x->line++;
	x->from += n;
	x->scanned = 0;
	return 1;
}

/* Where a text of too many bytes is cut: behind its last line end, else its last white space or character. */
static size_t cut_at(const char *s, size_t n)
{
	const char *newline = memrchr(s, '\n', n), *space = memrchr(s, ' ', n);
	size_t i = n;

	if (newline)
		return (size_t)(newline - s) + 1;
	if (space)
		return (size_t)(space - s) + 1;
	while (i > 1 && n - i < 4 && ((unsigned char)s[i] & 0xc0) == 0x80)
		i--;
	return i;
}

/* Line ends behind a separator. */
static void skip_newlines(struct input *x)
{
	while (left(x) && (*at(x) == '\n' || *at(x) == '\r')) {
		x->line += *at(x) == '\n';
		x->from++;
	}
	x->behind &= !left(x);
}

/* A text of n bytes before a separator, without line ends at its end. 0: there is nothing of it. */
static int give_parted(struct input *x, size_t n, size_t n_separator, struct input_text *out)
{
	size_t text = n;

	while (text && (at(x)[text - 1] == '\n' || at(x)[text - 1] == '\r'))
		text--;
	x->behind = true;
	give(x, text, n + n_separator, false, out);
	return text > 0;
}

static int next_text(struct input *x, struct input_text *out, struct err *e)
{
	const char *separator = x->o.separator;
	size_t n_separator = separator ? strlen(separator) : 0;

	for (;;) {
		if (x->behind)
			skip_newlines(x);
		size_t n = left(x), look = x->scanned > n_separator ? x->scanned - n_separator : 0;
		const char *found =
			n_separator && n > look ? memmem(at(x) + look, n - look, separator, n_separator) : NULL;
		if (found && (size_t)(found - at(x)) <= x->o.most_bytes) {
			if (give_parted(x, (size_t)(found - at(x)), n_separator, out))
				return 1;
			continue;
		}
		if (n > x->o.most_bytes) {
			size_t cut = cut_at(at(x), x->o.most_bytes);
			return give(x, cut, cut, true, out);
		}
		if (x->ended)
			return n ? give(x, n, n, false, out) : 0;
		x->scanned = n;
		if (fill(x, e) < 0)
			return -1;
	}
}

static bool is_blank(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr(" \t\r", s[i]) || !s[i])
			return false;
	return true;
}

/* A row that has no end within MOST_ROW is given as far as that goes; it will be no JSON, nor will its rest. */
static int next_row(struct input *x, struct input_text *out, struct err *e)
{
	for (;;) {
		size_t n = left(x);
		const char *newline = n > x->scanned ? memchr(at(x) + x->scanned, '\n', n - x->scanned) : NULL;
		size_t row = newline ? (size_t)(newline - at(x)) : n;
		if (newline || x->ended || n > MOST_ROW) {
			if (!n)
				return 0;
			if (!is_blank(at(x), row))
				return give(x, row, row + (newline != NULL), false, out);
			give(x, row, row + (newline != NULL), false, out);
			continue;
		}
		x->scanned = n;
		if (fill(x, e) < 0)
			return -1;
	}
}

static int next_item(struct input *x, struct input_text *out)
{
	if (x->place >= json_array_size(x->array))
		return 0;
	buf_clear(&x->row);
	char *line = jsonx_line(json_array_get(x->array, x->place++));
	buf_adds(&x->row, line);
	mem_free(line);
	*out = (struct input_text){ buf_str(&x->row), x->row.len, true, false, x->place };
	return 1;
}

int input_next(struct input *x, struct input_text *out, struct err *e)
{
	switch (x->kind) {
	case INPUT_ROWS: return next_row(x, out, e);
	case INPUT_ARRAY: return next_item(x, out);
	default: return next_text(x, out, e);
	}
}

bool input_damaged(const struct input *x) { return stream_damaged(x->stream); }
uint64_t input_at(const struct input *x) { return stream_at(x->stream); }
uint64_t input_bytes(const struct input *x) { return x->bytes; }

void input_close(struct input *x, char hex[33])
{
	hash_end(x->hash, hex);
	stream_close(x->stream);
	json_decref(x->array);
	buf_release(&x->row);
	mem_free(x->data);
	mem_free(x);
}
