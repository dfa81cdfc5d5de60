/* answer_file: answers a line each in a file that can be gone on with after a stop. The description is written
 * before the first answer and stays, so that a finished file says so. */
#include "cmd/generate/answer_file.h"

#include <string.h>
#include <sys/stat.h>

#include "base/jsonx.h"
#include "base/mem.h"

/* Names the first thing in which two descriptions differ. */
static int compare(const char *path, const json_t *had, const json_t *asked, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)asked, key, value) {
		const json_t *before = json_object_get(had, key);
		if (json_is_object(value) && json_is_object(before)) {
			if (compare(path, before, value, e) < 0)
				return -1;
		} else if (!before || !json_equal(before, value)) {
			char *was = before ? jsonx_line(before) : mem_strdup("nothing"), *now = jsonx_line(value);
			err_set(e, "%s was begun with another %s (%.60s, now %.60s): give another --out, or remove it",
			        path, key, was, now);
			mem_free(was);
			mem_free(now);
			return -1;
		}
	}
	return 0;
}

static bool is_answer_to(json_t *line, const json_t *row, bool votes)
{
	static const char *const keys[] = { "citations", "supported", "completion", "finish_reason", "agreement" };
	json_t *question = json_copy((json_t *)row);
	bool answered = json_is_string(json_object_get(line, "completion")) &&
	                json_is_string(json_object_get(line, "finish_reason"));

	for (size_t i = 0; i < ARRAY_LEN(keys) - (votes ? 0 : 1); i++) {
		json_object_del(question, keys[i]);
		json_object_del(line, keys[i]);
	}
	answered &= json_equal(question, line) == 1;
	json_decref(question);
	return answered;
}

/* Counts the whole lines that are there, each the answer to its row; *size: their bytes. */
static int count_answers(struct answer_file *f, const struct buf *text, const struct rows *rows, size_t *size,
                         struct err *e)
{
	const char *newline;

	for (*size = 0; (newline = memchr(buf_str(text) + *size, '\n', text->len - *size));
	     *size = (size_t)(newline - text->data) + 1, f->n++) {
		if (f->n == rows->n)
			return err_set(e, "%s: more answers than the %zu rows", f->path, rows->n);
		/* An answer may have a byte of zero, as rows may. */
		json_t *line = json_loadb(text->data + *size, (size_t)(newline - text->data) - *size,
		                          JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
		bool right = line && is_answer_to(line, rows->items[f->n].json, f->votes);
		if (!right)
			err_set(e, "%s:%zu: not the answer to %s:%zu", f->path, f->n + 1, rows->items[f->n].file,
			        rows->items[f->n].line);
		json_decref(line);
		if (!right)
			return -1;
	}
	return 0;
}

static int go_on(struct answer_file *f, const char *description, const json_t *asked, const struct buf *text,
                 const struct rows *rows, struct err *e)
{
	size_t size;

	if (!io_exists(description))
		return err_set(e, "%s is there and was not begun by this command: give another --out, or remove it",
		               f->path);
	json_t *had = jsonx_load_file(description, e);
	int status = had ? compare(f->path, had, asked, e) : -1;
	json_decref(had);
	if (status == 0)
		status = count_answers(f, text, rows, &size, e);
	if (status == 0 && size < text->len)
		status = io_truncate(f->path, size, e);
	return status;
}

bool answer_file_streams(const char *path)
{
	struct stat st;

	return io_is_open_file(path) || (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

int answer_file_open(struct answer_file *f, const char *path, bool votes, const json_t *asked, const struct rows *rows,
                     struct err *e)
{
	struct buf text = { .max = (size_t)16 << 30 };

	*f = (struct answer_file){ .path = mem_strdup(path), .lock = -1, .votes = votes };
	if (answer_file_streams(path)) {
		f->streams = io_writer_open(&f->stream, path, e) == 0;
		if (!f->streams)
			answer_file_close(f);
		return f->streams ? 0 : -1;
	}
	char *description = mem_printf("%s.resume.json", path);
	int status = io_lock(path, &f->lock, e);
	if (status == 0)
		status = io_read(&text, path, e);
	if (status == 0)
		status = text.len ? go_on(f, description, asked, &text, rows, e) :
		                    jsonx_write_file(description, asked, e);
	buf_release(&text);
	mem_free(description);
	if (status < 0)
		answer_file_close(f);
	return status;
}

int answer_file_add(struct answer_file *f, const struct rows *rows, const struct generation *g, double agreement,
                    struct err *e)
{
	json_t *row = json_copy(rows->items[f->n].json);

	json_object_set_new(row, "completion", json_stringn(buf_str(&g->text), g->text.len));
	json_object_set_new(row, "finish_reason", json_string(finish_name(g->finish)));
	if (f->votes)
		json_object_set_new(row, "agreement", json_real(agreement));
	char *line = jsonx_line(row), *whole = mem_printf("%s\n", line);
	int status = f->streams ? io_writer_add(&f->stream, whole, strlen(whole), e) :
	                          io_append(f->path, whole, strlen(whole), e);
	mem_free(line);
	mem_free(whole);
	json_decref(row);
	f->n += status == 0;
	return status;
}

void answer_file_close(struct answer_file *f)
{
	if (f->streams)
		io_writer_abort(&f->stream); /* what is in a pipe is there */
	f->streams = false;
	if (f->lock >= 0)
		io_unlock(f->lock);
	f->lock = -1;
	mem_free(f->path);
	f->path = NULL;
}
