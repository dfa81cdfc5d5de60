/* batches: lines of a file into the calls, replies into two others. See batches.h.
 *
 * The lock is never held while a call is made, since calls of clients take it inside one. */
#include "serve/batches.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/beside.h"
#include "serve/files.h"
#include "serve/models.h"
#include "serve/openai_parts.h"

#define WINDOW (24 * 3600) /* seconds, after which a batch expires */

struct one {
	json_t *batch;
	struct buf text; /* its input, once it is worked on */
	size_t at;       /* of the next line */
	json_t *done;    /* custom_ids that are in its files; NULL: it is not worked on yet */
	int flying;      /* lines that were begun and did not end */
	bool again;      /* some of them are to be asked again: there was no room */
};

struct batches {
	const struct beside_options *o;
	char *dir;
	pthread_mutex_t lock; /* of what follows */
	bool stopped, cut;
	struct one **all; /* in the order of their ids */
	size_t n;
};

/* A line that was begun. */
struct line {
	struct batches *b;
	struct one *one;
	char *custom_id, *body;
};

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static bool is(const struct one *o, const char *status) { return !strcmp(text_of(o->batch, "status"), status); }

static bool is_going(const struct one *o) { return is(o, "in_progress") || is(o, "cancelling"); }

static char *place(const struct batches *b, const struct one *o, const char *end)
{
	return mem_printf("%s/%s%s", b->dir, text_of(o->batch, "id"), end);
}

static void save_locked(const struct batches *b, const struct one *o)
{
	struct err e = ERR_INIT;
	char *path = place(b, o, ".json");

	if (jsonx_write_file(path, o->batch, &e) < 0)
		log_warn("%s", e.msg);
	mem_free(path);
}

/* when: the key of the time at which it became so. */
static void set_status(struct one *o, const char *status, const char *when)
{
	json_object_set_new(o->batch, "status", json_string(status));
	json_object_set_new(o->batch, when, json_integer((json_int_t)clock_wall_seconds()));
}

static json_t *counts_of(const struct one *o) { return json_object_get(o->batch, "request_counts"); }

static void count(struct one *o, const char *key)
{
	json_t *counts = counts_of(o);

	json_object_set_new(counts, key, json_integer(json_integer_value(json_object_get(counts, key)) + 1));
}

/* --- lines --- */

/* The next line that has something; NULL: there is none. It is *n bytes long; *at moves behind it. */
static const char *next_line(const struct buf *text, size_t *at, size_t *n)
{
	while (*at < text->len) {
		const char *line = text->data + *at, *end = memchr(line, '\n', text->len - *at);
		*n = end ? (size_t)(end - line) : text->len - *at;
		*at += *n + (end ? 1 : 0);
		if (*n && line[strspn(line, " \t\r")] != '\n')
			return line;
	}
	return NULL;
}

/* What is wrong with a line; seen: the custom_ids before it. */
static int check_line(const json_t *line, const char *endpoint, json_t *seen, struct err *e)
{
	const char *id = text_of(line, "custom_id"), *method = text_of(line, "method"), *url = text_of(line, "url");
	const json_t *body = json_object_get(line, "body");

	if (!json_is_object(line))
		return err_set(e, "a line is an object with custom_id, method, url and body");
	if (!*id)
		return err_set(e, "'custom_id' is no text");
	if (json_object_get(seen, id))
		return err_set(e, "the custom_id '%.100s' stands on an earlier line too", id);
	if (strcmp(method, "POST") || strcmp(url, endpoint))
		return err_set(e, "the line asks %.20s %.100s, the batch is of POST %s", method, url, endpoint);
	if (!json_is_object(body))
		return err_set(e, "'body' is no object");
	if (json_is_true(json_object_get(body, "stream")))
		return err_set(e, "'stream' is not for a batch");
	json_object_set_new(seen, id, json_true());
	return 0;
}

/* All lines; the number of them, or −1 and what is wrong with line *at. */
static long check_lines(const struct buf *text, const char *endpoint, long *at, struct err *e)
{
	json_t *seen = json_object();
	size_t from = 0, n;
	int status = 0;

	*at = 0;
	for (const char *line; status == 0 && (line = next_line(text, &from, &n));) {
		++*at;
		json_t *j = jsonx_load(line, n, "the line", e);
		status = j ? check_line(j, endpoint, seen, e) : -1;
		json_decref(j);
		if (status == 0 && *at > BATCH_LINES)
			status = err_set(e, "a batch has %d lines at most", BATCH_LINES);
	}
	json_decref(seen);
	if (status == 0 && *at == 0)
		status = err_set(e, "the file has no lines");
	return status < 0 ? -1 : *at;
}

/* --- what ended --- */

static void end_line(struct line *l, struct http_reply *r)
{
	struct batches *b = l->b;
	struct err e = ERR_INIT;
	json_t *body = jsonx_load(buf_str(&r->body), r->body.len, "the reply", &e);
	bool good = r->status < 400;
	char *path = place(b, l->one, good ? ".out" : ".err"), id[48];

	beside_id("batch_req_", id);
	json_t *j = json_pack("{s:s, s:s, s:{s:i, s:s, s:o}, s:n}", "id", id, "custom_id", l->custom_id, "response",
	                      "status_code", r->status, "request_id", id, "body", body ? body : json_object(), "error");
	char *text = jsonx_line(j), *whole = mem_printf("%s\n", text);
	if (io_append(path, whole, strlen(whole), &e) < 0)
		log_warn("%s", e.msg);
	json_object_set_new(l->one->done, l->custom_id, json_true());
	count(l->one, good ? "completed" : "failed");
	mem_free(whole);
	mem_free(text);
	mem_free(path);
	json_decref(j);
}

static void feed(void *ctx);

/* A line's reply: the engine's thread. */
static void replied(void *ctx, struct http_reply *r)
{
	struct line *l = ctx;
	struct batches *b = l->b;

	pthread_mutex_lock(&b->lock);
	l->one->flying--;
	if (r->status == 503)
		l->one->again = true;
	else if (!b->cut)
		end_line(l, r);
	bool on = !b->stopped;
	pthread_mutex_unlock(&b->lock);
	mem_free(l->custom_id);
	mem_free(l->body);
	mem_free(l);
	if (on)
		engine_do(b->o->engine, feed, b);
}

/* Its lines become files of clients. */
static void file_locked(struct batches *b, struct one *o, const char *end, const char *key, const char *name)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	char *path = place(b, o, end), *filename = mem_printf("%s_%s.jsonl", text_of(o->batch, "id"), name);

	if (io_exists(path) && io_read(&text, path, &e) == 0) {
		json_t *file = files_add(b->o->dir, filename, "batch_output", buf_str(&text), text.len, &e);
		if (file)
			json_object_set(o->batch, key, json_object_get(file, "id"));
		json_decref(file);
	}
	if (*e.msg)
		log_warn("%s", e.msg);
	buf_release(&text);
	mem_free(filename);
	mem_free(path);
}

static void remove_file(const struct batches *b, const struct one *o, const char *end)
{
	char *path = place(b, o, end);

	unlink(path);
	mem_free(path);
}

static void finish_locked(struct batches *b, struct one *o, const char *status, const char *when)
{
	file_locked(b, o, ".out", "output_file_id", "output");
	file_locked(b, o, ".err", "error_file_id", "error");
	set_status(o, status, when);
	save_locked(b, o);
	remove_file(b, o, ".out");
	remove_file(b, o, ".err");
	buf_release(&o->text);
	json_decref(o->done);
	o->done = NULL;
}

/* --- what begins --- */

/* The lines that a file of its has, into done; what was not whole is taken away. */
static int read_done(struct batches *b, struct one *o, const char *end, const char *key, struct err *e)
{
	struct buf text = BUF_INIT;
	char *path = place(b, o, end);
	size_t at = 0, n, whole = 0;
	int status = io_exists(path) ? io_read(&text, path, e) : 0;

	while (text.len && whole < text.len && memchr(text.data + whole, '\n', text.len - whole))
		whole += (size_t)((char *)memchr(text.data + whole, '\n', text.len - whole) - text.data) - whole + 1;
	if (status == 0 && whole < text.len)
		status = io_truncate(path, whole, e);
	text.len = whole;
	for (const char *line; status == 0 && (line = next_line(&text, &at, &n));) {
		json_t *j = jsonx_load(line, n, path, e);
		status = j ? 0 : -1;
		if (j && !json_object_get(o->done, text_of(j, "custom_id"))) {
			json_object_set_new(o->done, text_of(j, "custom_id"), json_true());
			count(o, key);
		}
		json_decref(j);
	}
	buf_release(&text);
	mem_free(path);
	return status;
}

/* It is worked on from now on. */
static int open_locked(struct batches *b, struct one *o, struct err *e)
{
	char *input = files_path(b->o->dir, text_of(o->batch, "input_file_id"));
	int status = input ? io_read(&o->text, input, e) : err_set(e, "its input file is gone");

	o->at = 0;
	o->done = json_object();
	json_object_set_new(counts_of(o), "completed", json_integer(0));
	json_object_set_new(counts_of(o), "failed", json_integer(0));
	if (status == 0 && (status = read_done(b, o, ".out", "completed", e)) == 0)
		status = read_done(b, o, ".err", "failed", e);
	mem_free(input);
	return status;
}

static json_t *errors_of(const char *message, long line)
{
	return json_pack("{s:s, s:[{s:s, s:s, s:o, s:n}]}", "object", "list", "data", "code", "invalid_request",
	                 "message", message, "line", line > 0 ? json_integer(line) : json_null(), "param");
}

static void fail_locked(struct batches *b, struct one *o, const char *message, long line)
{
	json_object_set_new(o->batch, "errors", errors_of(message, line));
	set_status(o, "failed", "failed_at");
	save_locked(b, o);
}

/* The next line of the oldest batch that has one; NULL: there is none. What is over becomes files. */
static struct line *take_locked(struct batches *b)
{
	struct err e = ERR_INIT;

	for (size_t i = 0; i < b->n; i++) {
		struct one *o = b->all[i];
		if (!is_going(o))
			continue;
		if (!o->done && open_locked(b, o, &e) < 0) {
			fail_locked(b, o, e.msg, 0);
			continue;
		}
		bool late = clock_wall_seconds() > (double)json_integer_value(json_object_get(o->batch, "expires_at"));
		size_t n;
		for (const char *line; is(o, "in_progress") && !late && (line = next_line(&o->text, &o->at, &n));) {
			json_t *j = jsonx_load(line, n, "", &e);
			const char *id = text_of(j, "custom_id");
			struct line *l = json_object_get(o->done, id) ? NULL : mem_alloc(sizeof(*l));
			if (l)
				*l = (struct line){ b, o, mem_strdup(id), jsonx_line(json_object_get(j, "body")) };
			json_decref(j);
			if (l)
				return l;
		}
		if (o->flying)
			return NULL;
		if (is(o, "in_progress") && !late && o->again) {
			o->again = false;
			o->at = 0;
			return NULL; /* at the next tick */
		}
		if (is(o, "cancelling"))
			finish_locked(b, o, "cancelled", "cancelled_at");
		else
			finish_locked(b, o, late ? "expired" : "completed", late ? "expired_at" : "completed_at");
	}
	return NULL;
}

/* Is there room beside those that others ask? */
static bool has_room(struct batches *b, int flying)
{
	struct openai *list[MODELS_MOST];
	size_t n = models_list(b->o->models, list);
	int pending = 0, parallel = 0;

	for (size_t i = 0; i < n; i++) {
		pthread_mutex_lock(&list[i]->lock);
		pending += list[i]->pending;
		pthread_mutex_unlock(&list[i]->lock);
		parallel = list[i]->o.parallel;
	}
	return !flying || (flying < parallel && pending < parallel);
}

/* The call that a line is; its reply comes to `replied` at once or later. */
static void begin(struct line *l)
{
	char *endpoint = mem_strdup(text_of(l->one->batch, "endpoint"));
	struct http_request q = { .method = "POST",
		                  .path = endpoint,
		                  .body = l->body,
		                  .n_body = strlen(l->body),
		                  .whose = text_of(l->one->batch, "key"),
		                  .replied = replied,
		                  .replied_ctx = l };
	struct http_reply r = { 200, "application/json" };

	models_answer(l->b->o->models, &q, &r);
	if (r.body.len)
		replied(l, &r);
	buf_release(&r.body);
	mem_free(endpoint);
}

/* The engine's thread. */
static void feed(void *ctx)
{
	struct batches *b = ctx;
	struct line *l = NULL;

	do {
		int flying = 0;
		pthread_mutex_lock(&b->lock);
		for (size_t i = 0; i < b->n; i++)
			flying += b->all[i]->flying;
		l = !b->stopped && has_room(b, flying) ? take_locked(b) : NULL;
		if (l)
			l->one->flying++;
		pthread_mutex_unlock(&b->lock);
		if (l)
			begin(l);
	} while (l);
}

void batches_tick(struct batches *b) { feed(b); }

void batches_stop(struct batches *b, bool cut)
{
	pthread_mutex_lock(&b->lock);
	b->stopped = true;
	b->cut |= cut;
	pthread_mutex_unlock(&b->lock);
}

/* --- all of them --- */

static struct one *add_locked(struct batches *b, json_t *batch)
{
	struct one *o = mem_alloc(sizeof(*o));

	o->batch = batch;
	b->all = mem_grow(b->all, b->n + 1, sizeof(struct one *));
	return b->all[b->n++] = o;
}

int batches_new(struct batches **out, struct beside *beside, struct err *e)
{
	struct batches *b = *out = mem_alloc(sizeof(*b));
	char **names;
	size_t n;

	*b = (struct batches){ .o = &beside->o, .dir = io_join(beside->o.dir, "batches") };
	pthread_mutex_init(&b->lock, NULL);
	if (io_mkdirs(b->dir, e) < 0 || io_list(b->dir, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct err broken = ERR_INIT;
		size_t len = strlen(names[i]);
		char *path = io_join(b->dir, names[i]);
		bool object = len > 5 && !strcmp(names[i] + len - 5, ".json");
		json_t *j = object ? jsonx_load_file(path, &broken) : NULL;
		if (j)
			add_locked(b, j);
		else if (object)
			log_warn("%s", broken.msg);
		mem_free(path);
	}
	io_list_free(names, n);
	return 0;
}

void batches_free(struct batches *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++) {
		json_decref(b->all[i]->batch);
		json_decref(b->all[i]->done);
		buf_release(&b->all[i]->text);
		mem_free(b->all[i]);
	}
	mem_free(b->all);
	mem_free(b->dir);
	pthread_mutex_destroy(&b->lock);
	mem_free(b);
}

static json_t *object_of(const char *id, const char *endpoint, const char *input, const json_t *metadata)
{
	static const char *const times[] = { "finalizing_at", "completed_at",   "failed_at",
		                             "expired_at",    "cancelling_at",  "cancelled_at",
		                             "errors",        "output_file_id", "error_file_id" };
	json_int_t now = (json_int_t)clock_wall_seconds();
	json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:{s:i, s:i, s:i}}", "id", id, "object",
	                      "batch", "endpoint", endpoint, "input_file_id", input, "completion_window", "24h",
	                      "status", "in_progress", "created_at", now, "in_progress_at", now, "expires_at",
	                      now + WINDOW, "request_counts", "total", 0, "completed", 0, "failed", 0);

	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		json_object_set_new(j, times[i], json_null());
	json_object_set_new(j, "metadata", metadata ? json_deep_copy(metadata) : json_null());
	return j;
}

json_t *batches_add(struct batches *b, const char *endpoint, const char *input, const char *key,
                    const json_t *metadata, struct err *e)
{
	struct err wrong = ERR_INIT;
	struct buf text = BUF_INIT;
	char *path = files_path(b->o->dir, input), id[48];
	json_t *seen = NULL;
	long at;

	if (path && io_read(&text, path, e) == 0) {
		beside_id("batch_", id);
		long lines = check_lines(&text, endpoint, &at, &wrong);
		pthread_mutex_lock(&b->lock);
		struct one *o = add_locked(b, object_of(id, endpoint, input, metadata));
		if (*key)
			json_object_set_new(o->batch, "key", json_string(key));
		if (lines < 0)
			fail_locked(b, o, wrong.msg, at);
		else
			json_object_set_new(counts_of(o), "total", json_integer(lines));
		save_locked(b, o);
		seen = json_deep_copy(o->batch);
		pthread_mutex_unlock(&b->lock);
	}
	buf_release(&text);
	mem_free(path);
	return seen;
}

static struct one *find_locked(struct batches *b, const char *id)
{
	for (size_t i = 0; i < b->n; i++)
		if (!strcmp(text_of(b->all[i]->batch, "id"), id))
			return b->all[i];
	return NULL;
}

json_t *batches_get(struct batches *b, const char *id)
{
	pthread_mutex_lock(&b->lock);
	struct one *o = find_locked(b, id);
	json_t *j = o ? json_deep_copy(o->batch) : NULL;
	pthread_mutex_unlock(&b->lock);
	return j;
}

json_t *batches_list(struct batches *b)
{
	json_t *list = json_array();

	pthread_mutex_lock(&b->lock);
	for (size_t i = b->n; i--;)
		json_array_append_new(list, json_deep_copy(b->all[i]->batch));
	pthread_mutex_unlock(&b->lock);
	return list;
}

int batches_cancel(struct batches *b, const char *id, json_t **now)
{
	pthread_mutex_lock(&b->lock);
	struct one *o = find_locked(b, id);
	int result = !o ? -1 : !is_going(o);
	if (result == 0 && is(o, "in_progress")) {
		set_status(o, "cancelling", "cancelling_at");
		save_locked(b, o);
	}
	*now = o ? json_deep_copy(o->batch) : NULL;
	pthread_mutex_unlock(&b->lock);
	return result;
}
