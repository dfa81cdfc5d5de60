/* index_input: see index_input.h. */
#include "cmd/index/index_input.h"

#include <ctype.h>
#include <errno.h>
#include <iconv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/markup.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "base/utf8.h"

enum { FRONT = 1024 /* in which a page says its encoding, a PDF that it is one */, NAME_MOST = 40, ODD_SHARE = 10 };

/* --- HTML --- */

/* The tags that do not break a line. */
static const char *const inline_tags[] = { "a",    "abbr", "b",     "big",    "cite", "code", "em", "font", "i", "img",
	                                   "kbd",  "mark", "q",     "s",      "samp", "small", "span", "strike",
	                                   "strong", "sub", "sup",  "tt",     "u",    "var", "wbr" };

static bool is_name(const char *s, size_t n, const char *name)
{
	return strlen(name) == n && !strncasecmp(s, name, n);
}

static bool is_inline(const char *s, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(inline_tags); i++)
		if (is_name(s, n, inline_tags[i]))
			return true;
	return false;
}

/* Where the element's end tag begins, or the text's end. */
static size_t end_of(const char *s, size_t n, size_t at, const char *name, size_t n_name)
{
	for (; at < n; at++)
		if (s[at] == '<' && at + 2 + n_name <= n && s[at + 1] == '/' && !strncasecmp(s + at + 2, name, n_name))
			return at;
	return n;
}

/* White space, the space that does not break among it, becomes one blank. */
static void add_text(const char *s, size_t n, struct buf *out)
{
	struct buf text = BUF_INIT;

	markup_unescape(&text, s, n);
	for (size_t i = 0; i < text.len; i++) {
		bool nbsp = i + 1 < text.len && !memcmp(text.data + i, "\xC2\xA0", 2);
		if (!nbsp && !isspace((unsigned char)text.data[i]))
			buf_addc(out, text.data[i]);
		else if (!out->len || !isspace((unsigned char)out->data[out->len - 1]))
			buf_addc(out, ' ');
		i += nbsp;
	}
	buf_release(&text);
}

static void break_line(struct buf *out)
{
	while (out->len && out->data[out->len - 1] == ' ')
		out->len--;
	if (out->len && out->data[out->len - 1] != '\n')
		buf_addc(out, '\n');
}

/* Behind the > that ends a tag, those in its quotes left out; where a quote is not closed, behind the first. */
static size_t tag_end(const char *s, size_t n, size_t at)
{
	const char *first = memchr(s + at, '>', n - at);
	char quote = 0;

	for (size_t i = at; first && i < n; i++) {
		if (quote)
			quote = s[i] == quote ? 0 : quote;
		else if ((s[i] == '"' || s[i] == '\'') && s[i - 1] == '=')
			quote = s[i];
		else if (s[i] == '>')
			return i + 1;
	}
	return first ? (size_t)(first - s) + 1 : n;
}

/* The tag or comment at s[at]: where it ends, what it does to the text done. */
static size_t take_tag(const char *s, size_t n, size_t at, struct buf *text, struct buf *title)
{
	size_t name = at + 1 + (at + 1 < n && s[at + 1] == '/'), end = name;

	if (n - at > 3 && !memcmp(s + at, "<!--", 4)) {
		const char *stop = memmem(s + at + 4, n - at - 4, "-->", 3);
		return stop ? (size_t)(stop - s) + 3 : n;
	}
	while (end < n && (isalnum((unsigned char)s[end])))
		end++;
	size_t after = tag_end(s, n, end);
	bool opens = name == at + 1, titles = is_name(s + name, end - name, "title"),
	     skips = is_name(s + name, end - name, "script") || is_name(s + name, end - name, "style");
	if (opens && (skips || titles)) {
		size_t stop = end_of(s, n, after, s + name, end - name);
		if (titles && title && !title->len)
			add_text(s + after, stop - after, title);
		return stop;
	}
	if (!is_inline(s + name, end - name))
		break_line(text);
	return after;
}

void input_html(const char *s, size_t n, struct buf *text, struct buf *title)
{
	for (size_t at = 0; at < n;) {
		bool tag = s[at] == '<' && at + 1 < n &&
		           (isalpha((unsigned char)s[at + 1]) || strchr("/!?", s[at + 1]));
		if (tag) {
			at = take_tag(s, n, at, text, title);
			continue;
		}
		const char *next = memchr(s + at + 1, '<', n - at - 1);
		size_t stop = next ? (size_t)(next - s) : n;
		add_text(s + at, stop - at, text);
		at = stop;
	}
	break_line(text);
}

/* --- PDF --- */

static _Noreturn void become_pdftotext(const char *path, int out)
{
	if (dup2(out, STDOUT_FILENO) >= 0)
		execlp("pdftotext", "pdftotext", "-q", "-enc", "UTF-8", "--", path, "-", (char *)NULL);
	_exit(127);
}

static int read_all(int fd, struct buf *out, const char *path, struct err *e)
{
	char piece[65536];
	ssize_t n;

	while ((n = read(fd, piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, "%s: what pdftotext says cannot be read: %s", path, strerror(errno));
		buf_add(out, piece, (size_t)n);
	}
	return 0;
}

/* Why pdftotext has not read it, as far as the file tells. */
static int pdf_fault(const char *path, int state, struct err *e)
{
	struct mapping m;

	if (io_map(&m, path, e) < 0)
		return -1;
	bool is = m.size && memmem(m.data, MIN(m.size, (size_t)FRONT), "%PDF-", 5),
	     locked = is && memmem(m.data, m.size, "/Encrypt", 8);
	io_unmap(&m);
	if (!is)
		return err_set(e, "%s: it is no PDF: pdftotext cannot read it", path);
	return err_set(e, "%s: pdftotext cannot read it (status %d): it is %s", path,
	               WIFEXITED(state) ? WEXITSTATUS(state) : -1,
	               locked ? "encrypted, and wants a password" : "damaged, or cut short");
}

static int read_pdf(struct input *in, const char *path, struct err *e)
{
	int ends[2], state = 0;

	if (access(path, R_OK) < 0)
		return err_set(e, "cannot open %s: %s", path, strerror(errno));
	if (pipe(ends) < 0)
		return err_set(e, "%s: no pipe: %s", path, strerror(errno));
	pid_t child = fork();
	if (child == 0)
		become_pdftotext(path, ends[1]);
	close(ends[1]);
	int status = child < 0 ? err_set(e, "%s: pdftotext cannot be started: %s", path, strerror(errno)) :
	                         read_all(ends[0], &in->text, path, e);
	close(ends[0]);
	while (child > 0 && waitpid(child, &state, 0) < 0 && errno == EINTR)
		;
	if (status == 0 && WIFEXITED(state) && WEXITSTATUS(state) == 127)
		return err_set(e, "%s: a PDF is read by pdftotext of poppler-utils, which is not installed", path);
	if (status == 0 && (!WIFEXITED(state) || WEXITSTATUS(state)))
		return pdf_fault(path, state, e);
	return status;
}

/* --- rows --- */

static const char *text_of(const json_t *row, const char *const *names)
{
	for (; *names; names++)
		if (json_is_string(json_object_get(row, *names)))
			return json_string_value(json_object_get(row, *names));
	return NULL;
}

static void take_fields(json_t *fields, const json_t *row)
{
	static const char *const own[] = { "_id", "id", "doc_id", "title", "text", "contents", "metadata" };
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)row, key, value) {
		bool is_own = false;
		for (size_t i = 0; i < ARRAY_LEN(own); i++)
			is_own |= !strcmp(key, own[i]);
		if (!is_own && (json_is_string(value) || json_is_number(value) || json_is_boolean(value)))
			json_object_set(fields, key, value);
	}
}

/* The row's id as a text, in `room` where it is a number. */
static const char *id_of(const json_t *row, char room[32])
{
	static const char *const names[] = { "_id", "id", "doc_id", NULL };

	for (size_t i = 0; names[i]; i++)
		if (json_is_integer(json_object_get(row, names[i]))) {
			snprintf(room, 32, "%lld", (long long)json_integer_value(json_object_get(row, names[i])));
			return room;
		}
	return text_of(row, names);
}

static int take_row(struct input *in, const json_t *row, const char *path, size_t line, struct err *e)
{
	static const char *const texts[] = { "text", "contents", NULL }, *const titles[] = { "title", NULL };
	char room[32];
	struct input_document d = { .id = id_of(row, room), .title = text_of(row, titles), .source = path,
		                    .text = text_of(row, texts) };

	if (!json_is_object(row) || !d.text)
		return err_set(e, "%s:%zu: no document: an object with a column `text` was wanted", path, line);
	char *own = d.id && *d.id ? NULL : mem_printf("%s:%zu", path, line);
	json_t *fields = json_object();
	take_fields(fields, row);
	take_fields(fields, json_object_get(row, "metadata"));
	char *json = json_object_size(fields) ? jsonx_line(fields) : NULL;
	d.id = own ? own : d.id;
	d.n = strlen(d.text);
	d.title = d.title && *d.title ? d.title : NULL;
	d.fields = json;
	int status = in->take(in->ctx, &d, e);
	json_decref(fields);
	mem_free(json);
	mem_free(own);
	return status;
}

static int read_rows(struct input *in, const char *path, struct err *e)
{
	const char *at = buf_str(&in->bytes), *end = at + in->bytes.len;
	int status = 0;

	for (size_t line = 1; at < end && status == 0; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		if (n && !(n == 1 && *at == '\r')) {
			char *where = mem_printf("%s:%zu", path, line);
			json_t *row = jsonx_load(at, n, where, e);
			status = row ? take_row(in, row, path, line, e) : -1;
			json_decref(row);
			mem_free(where);
		}
		in->done += (double)n + 1;
		at += n + 1;
	}
	return status;
}

/* --- files --- */

enum kind { KIND_NONE, KIND_ROWS, KIND_HTML, KIND_PDF, KIND_TEXT };

static enum kind kind_of(const char *path)
{
	static const struct { const char *end; enum kind kind;
	} kinds[] = {
		{ ".jsonl", KIND_ROWS }, { ".jsonl.gz", KIND_ROWS }, { ".ndjson", KIND_ROWS }, { ".ndjson.gz",
		                                                                                 KIND_ROWS },
		{ ".html", KIND_HTML },  { ".htm", KIND_HTML },      { ".xhtml", KIND_HTML },  { ".pdf", KIND_PDF },
		{ ".txt", KIND_TEXT },   { ".md", KIND_TEXT },       { ".markdown", KIND_TEXT }, { ".rst", KIND_TEXT },
		{ ".text", KIND_TEXT },  { ".txt.gz", KIND_TEXT },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (text_stem(path, kinds[i].end))
			return kinds[i].kind;
	return KIND_NONE;
}

/* Of Markdown the first heading's text. */
static char *heading(const char *s)
{
	while (s) {
		const char *at = s + strspn(s, "#"), *end = at + strcspn(at, "\r\n");
		if (at > s && *at == ' ')
			return mem_strndup(at + 1, (size_t)(end - at) - 1);
		s = strchr(s, '\n');
		s = s ? s + 1 : NULL;
	}
	return NULL;
}

/* UTF-16 by its mark at the front, either way round, as UTF-8; false: it has none. */
static bool put_utf16(const unsigned char *s, size_t n, struct buf *out)
{
	bool low_first = n >= 2 && s[0] == 0xFF && s[1] == 0xFE;
	char utf8[4];

	if (!low_first && !(n >= 2 && s[0] == 0xFE && s[1] == 0xFF))
		return false;
	for (size_t i = 2; i + 1 < n; i += 2) {
		uint32_t c = low_first ? (uint32_t)(s[i] | s[i + 1] << 8) : (uint32_t)(s[i] << 8 | s[i + 1]);
		if (c >= 0xD800 && c < 0xDC00 && i + 3 < n) {
			uint32_t d = low_first ? (uint32_t)(s[i + 2] | s[i + 3] << 8) :
			                         (uint32_t)(s[i + 2] << 8 | s[i + 3]);
			if (d >= 0xDC00 && d < 0xE000) {
				c = 0x10000 + ((c - 0xD800) << 10) + (d - 0xDC00);
				i += 2;
			}
		}
		buf_add(out, utf8, utf8_encode(c >= 0xD800 && c < 0xE000 ? 0xFFFD : c, utf8));
	}
	return true;
}

/* How often the n bytes stand in the text. */
static size_t count_of(const struct buf *text, const char *bytes, size_t n)
{
	size_t found = 0;

	if (!text->len)
		return 0;
	const char *at = text->data, *end = at + text->len;
	for (; (at = memmem(at, (size_t)(end - at), bytes, n)); at += n)
		found++;
	return found;
}

/* Bytes that no text has: of zero, and those that are no UTF-8, which `whole` has as U+FFFD. */
static size_t count_odd(const struct buf *text, const struct buf *whole, size_t *replaced)
{
	static const char mark[] = "\xEF\xBF\xBD";
	size_t before = count_of(text, mark, 3), after = count_of(whole, mark, 3);

	*replaced = after - MIN(before, after);
	return count_of(text, "", 1) + *replaced;
}

/* in->text in UTF-8. It may be most of the memory there is, so one that is whole already is not copied. */
static int repair(struct input *in, const char *path, size_t *replaced, struct err *e)
{
	struct buf whole = BUF_INIT, old = in->text;

	if (!utf8_valid(buf_str(&old), old.len, NULL))
		utf8_repair(&whole, old.data, old.len);
	size_t odd = count_odd(&old, whole.len ? &whole : &old, replaced);
	if (odd * ODD_SHARE > old.len) {
		in->no_file = true;
		buf_release(&whole);
		return err_set(e, "%s: it is no text in UTF-8 or UTF-16: %zu of its %zu bytes are none", path, odd,
		               old.len);
	}
	if (whole.len) {
		in->text = whole;
		buf_release(&old);
	}
	return 0;
}

/* A byte of zero, which no text has, becomes a space. */
static int give(struct input *in, const char *path, const char *title, struct err *e)
{
	size_t replaced;

	if (repair(in, path, &replaced, e) < 0)
		return -1;
	if (replaced) {
		in->repaired++;
		in->first_repaired = in->first_repaired ? in->first_repaired : mem_strdup(path);
	}
	for (size_t i = 0; i < in->text.len; i++)
		in->text.data[i] = in->text.data[i] ? in->text.data[i] : ' ';
	const struct input_document d = { .id = path, .source = path, .title = title && *title ? title : NULL,
		                          .text = buf_str(&in->text), .n = in->text.len };
	return in->take(in->ctx, &d, e);
}

/* The bytes are the text. */
static void take_bytes(struct input *in)
{
	struct buf empty = in->text;

	in->text = in->bytes;
	in->bytes = empty;
}

static int read_text(struct input *in, const char *path, enum kind kind, struct err *e)
{
	struct buf title = BUF_INIT, said = BUF_INIT;
	char *first = NULL;
	int status = 0;

	buf_clear(&in->text);
	if (kind == KIND_PDF)
		in->no_file = (status = read_pdf(in, path, e)) < 0;
	else if (kind == KIND_HTML)
		input_html(buf_str(&in->bytes), in->bytes.len, &in->text, &title);
	else
		take_bytes(in);
	if (text_ends(path, ".md") || text_ends(path, ".markdown"))
		first = heading(buf_str(&in->text));
	utf8_repair(&said, first ? first : buf_str(&title), strlen(first ? first : buf_str(&title)));
	if (status == 0)
		status = give(in, path, buf_str(&said), e);
	mem_free(first);
	buf_release(&title);
	buf_release(&said);
	return status;
}

/* A gzip file's last four bytes are the length of what it holds, modulo 2^32. */
static int add_size(struct input *in, const char *path, enum kind kind, struct err *e)
{
	struct mapping m;
	uint32_t whole = 0;

	if (io_map(&m, path, e) < 0)
		return -1;
	if (text_ends(path, ".gz") && m.size >= sizeof(whole))
		memcpy(&whole, m.data + m.size - sizeof(whole), sizeof(whole));
	double bytes = fmax((double)m.size, whole);
	in->all += bytes;
	if (kind == KIND_ROWS)
		in->largest_rows = fmax(in->largest_rows, bytes);
	else
		in->largest_text = fmax(in->largest_text, bytes);
	io_unmap(&m);
	return 0;
}

static void widen(struct input *in)
{
	struct buf out = BUF_INIT;

	out.max = in->bytes.max;
	if (put_utf16((const unsigned char *)buf_str(&in->bytes), in->bytes.len, &out)) {
		struct buf old = in->bytes;
		in->bytes = out;
		out = old;
	}
	buf_release(&out);
}

/* The encoding that a page declares, in a <meta> or as XML: its name in `name`; false: none, or UTF-8. */
static bool declared(const struct buf *page, char name[NAME_MOST])
{
	static const char *const keys[] = { "charset=", "encoding=" };
	size_t front = MIN(page->len, (size_t)FRONT), n = 0;

	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		for (size_t at = 0; at + strlen(keys[k]) < front; at++) {
			if (strncasecmp(page->data + at, keys[k], strlen(keys[k])) != 0)
				continue;
			at += strlen(keys[k]);
			at += at < front && (page->data[at] == '"' || page->data[at] == '\'');
			while (at < front && n + 1 < NAME_MOST &&
			       (isalnum((unsigned char)page->data[at]) || strchr("-_.:", page->data[at])) &&
			       page->data[at])
				name[n++] = page->data[at++];
			name[n] = 0;
			return n && strcasecmp(name, "utf-8") && strcasecmp(name, "utf8");
		}
	return false;
}

/* As browsers take the name: who says Latin 1 or ASCII means Windows' set. */
static iconv_t open_encoding(const char *name)
{
	static const char *const latin[] = { "iso-8859-1", "latin1", "latin-1", "us-ascii", "ascii", "iso8859-1" };

	for (size_t i = 0; i < ARRAY_LEN(latin); i++)
		if (!strcasecmp(name, latin[i]))
			return iconv_open("UTF-8", "WINDOWS-1252");
	return iconv_open("UTF-8", name);
}

static void convert(iconv_t how, const struct buf *in, struct buf *out)
{
	char *from = in->data, piece[4096];
	size_t left = in->len;

	while (left) {
		char *to = piece;
		size_t room = sizeof(piece), n = iconv(how, &from, &left, &to, &room);
		buf_add(out, piece, (size_t)(to - piece));
		if (n != (size_t)-1 || errno == E2BIG || !left)
			continue;
		buf_adds(out, "\xEF\xBF\xBD");
		from++;
		left--;
	}
}

/* A page in another encoding, as UTF-8. One that this system does not know stays as it is. */
static void decode_page(struct input *in)
{
	char name[NAME_MOST];
	struct buf out = BUF_INIT;
	iconv_t how;

	if (!in->bytes.len || utf8_valid(in->bytes.data, in->bytes.len, NULL) || !declared(&in->bytes, name) ||
	    (how = open_encoding(name)) == (iconv_t)-1)
		return;
	out.max = in->bytes.max;
	convert(how, &in->bytes, &out);
	iconv_close(how);
	struct buf old = in->bytes;
	in->bytes = out;
	buf_release(&old);
}

static int read_file(struct input *in, const char *path, enum kind kind, struct err *e)
{
	if (stop_look(e, "documents were read") < 0)
		return -1;
	if (!in->take)
		return add_size(in, path, kind, e);
	buf_clear(&in->bytes);
	in->bytes.max = SIZE_MAX / 2;
	in->no_file = kind != KIND_PDF && io_read_gz(&in->bytes, path, e) < 0;
	if (in->no_file)
		return -1;
	widen(in);
	if (kind == KIND_HTML)
		decode_page(in);
	if (kind == KIND_ROWS)
		return read_rows(in, path, e);
	size_t n = in->bytes.len;
	int status = read_text(in, path, kind, e);
	in->done += (double)(kind == KIND_PDF ? in->text.len : n);
	return status;
}

static void skip(struct input *in, const char *file)
{
	in->skipped++;
	in->first_skipped = in->first_skipped ? in->first_skipped : mem_strdup(file);
}

/* A folder's own folders and files; links to folders, which may lead in a circle, are not followed. */
static bool is_taken(const char *file)
{
	struct stat here, there;

	return lstat(file, &here) == 0 && stat(file, &there) == 0 &&
	       (S_ISREG(there.st_mode) || (S_ISDIR(there.st_mode) && !S_ISLNK(here.st_mode)));
}

static int read_folder(struct input *in, const char *path, struct err *e);

static int read_entry(struct input *in, const char *file, struct err *e)
{
	struct err fault = ERR_INIT;

	if (!is_taken(file) || (!io_is_dir(file) && kind_of(file) == KIND_NONE)) {
		skip(in, file);
		return 0;
	}
	if (io_is_dir(file))
		return read_folder(in, file, e);
	in->no_file = false;
	int status = read_file(in, file, kind_of(file), &fault);
	if (status >= 0)
		return status;
	if (!in->no_file || stop_ended(&fault))
		return err_set(e, "%s", fault.msg);
	in->unread++;
	in->first_unread = in->first_unread ? in->first_unread : mem_strdup(fault.msg);
	return 0;
}

static int read_folder(struct input *in, const char *path, struct err *e)
{
	char **names;
	size_t n;
	int status = io_list(path, &names, &n, e);

	if (status < 0)
		return -1;
	for (size_t i = 0; i < n && status == 0; i++) {
		char *file = *names[i] == '.' ? NULL : io_join(path, names[i]);
		if (file)
			status = read_entry(in, file, e);
		mem_free(file);
	}
	io_list_free(names, n);
	return status;
}

int input_read(struct input *in, const char *path, struct err *e)
{
	if (io_is_dir(path))
		return read_folder(in, path, e);
	return read_file(in, path, kind_of(path) == KIND_NONE ? KIND_TEXT : kind_of(path), e);
}

void input_hash(const struct input_document *d, char hex[33])
{
	struct hash_stream *h = hash_begin();
	const char *title = d->title ? d->title : "", *fields = d->fields ? d->fields : "";

	hash_add(h, title, strlen(title) + 1);
	hash_add(h, fields, strlen(fields) + 1);
	hash_add(h, d->text, d->n);
	hash_end(h, hex);
}

void input_release(struct input *in)
{
	mem_free(in->first_skipped);
	mem_free(in->first_unread);
	mem_free(in->first_repaired);
	buf_release(&in->bytes);
	buf_release(&in->text);
}
