/* batches: lines of a file into the calls, replies into two others. See batches.h.
 *
 * A thread of its own does that: lines are parsed and made tokens there, which of a prompt of megabytes takes long, and
 * files are written there. Calls of clients read and change what they see of a batch under `lock`, which is never held
 * while a line is asked, since they take it inside a call; all else of a batch is the thread's. The engine's thread
 * hands replies over and waits for neither. */
#include "serve/batches.h"

#include <errno.h>
#include <pthread.h>
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
	json_t *batch;   /* what clients see; id and input of it stay */
	const char *id, *input;
	struct buf text; /* its input, once it is worked on */
	size_t at;       /* of the next line */
	json_t *done;    /* custom_ids that are in its files; NULL: it is not worked on yet */
	int flying;      /* lines that were begun and did not end */
	bool again;      /* some of them are to be asked again: there was no room */
};

/* A line that was begun, and its reply. */
struct line {
	struct batches *b;
	struct one *one;
	char *custom_id, *body, *endpoint, *key;
	int status;
	struct buf reply;
	struct line *next;
};

struct batches {
	const struct beside_options *o;
	char *dir;
	pthread_mutex_t lock; /* of the list and what clients see of each */
	struct one **all;     /* in the order of their ids; each stays where it is */
	size_t n;
	pthread_t thread;
	bool works;           /* it is there */
	pthread_mutex_t wake; /* of what follows */
	pthread_cond_t changed;
	bool ticked, asks, stopped, cut; /* asks: a line is being begun */
	struct line *ended, **ended_end; /* whose replies are there */
};

static const char *text_of(const json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));

	return text ? text : "";
}

static bool is_locked(const struct one *o, const char *status)
{
	return !strcmp(text_of(o->batch, "status"), status);
}

static bool is_going_locked(const struct one *o) { return is_locked(o, "in_progress") || is_locked(o, "cancelling"); }

static char *place(const struct batches *b, const struct one *o, const char *end)
{
	return mem_printf("%s/%s%s", b->dir, o->id, end);
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
static void set_status_locked(struct one *o, const char *status, const char *when)
{
	json_object_set_new(o->batch, "status", json_string(status));
	json_object_set_new(o->batch, when, json_integer((json_int_t)clock_wall_seconds()));
}

static json_t *counts_of(const struct one *o) { return json_object_get(o->batch, "request_counts"); }

static void count_locked(struct one *o, const char *key)
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

static void end_line(struct line *l)
{
	struct batches *b = l->b;
	struct err e = ERR_INIT;
	json_t *body = jsonx_load(buf_str(&l->reply), l->reply.len, "the reply", &e);
	bool good = l->status < 400;
	char *path = place(b, l->one, good ? ".out" : ".err"), id[48];

	beside_id("batch_req_", id);
	json_t *j = json_pack("{s:s, s:s, s:{s:i, s:s, s:o}, s:n}", "id", id, "custom_id", l->custom_id, "response",
	                      "status_code", l->status, "request_id", id, "body", body ? body : json_object(), "error");
	char *text = jsonx_line(j), *whole = mem_printf("%s\n", text);
	if (io_append(path, whole, strlen(whole), &e) < 0)
		log_warn("%s", e.msg);
	json_object_set_new(l->one->done, l->custom_id, json_true());
	pthread_mutex_lock(&b->lock);
	count_locked(l->one, good ? "completed" : "failed");
	pthread_mutex_unlock(&b->lock);
	mem_free(whole);
	mem_free(text);
	mem_free(path);
	json_decref(j);
}

/* A line's reply: the engine's thread, or at once. */
static void replied(void *ctx, struct http_reply *r)
{
	struct line *l = ctx;
	struct batches *b = l->b;

	l->status = r->status;
	l->reply = r->body;
	r->body = (struct buf)BUF_INIT;
	pthread_mutex_lock(&b->wake);
	*b->ended_end = l;
	b->ended_end = &l->next;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->wake);
}

static void line_free(struct line *l)
{
	buf_release(&l->reply);
	mem_free(l->custom_id);
	mem_free(l->body);
	mem_free(l->endpoint);
	mem_free(l->key);
	mem_free(l);
}

static void end_lines(struct line *l)
{
	for (struct line *next; l; l = next) {
		next = l->next;
		l->one->flying--;
		if (l->status == 503)
			l->one->again = true;
		else
			end_line(l);
		line_free(l);
	}
}

/* Its lines become a file of clients; its object, NULL: there is none. */
static json_t *file_of(const struct batches *b, const struct one *o, const char *end, const char *name)
{
	struct err e = ERR_INIT;
	struct buf text = BUF_INIT;
	char *path = place(b, o, end), *filename = mem_printf("%s_%s.jsonl", o->id, name);
	json_t *file = NULL;

	if (io_exists(path) && io_read(&text, path, &e) == 0)
		file = files_add(b->o->dir, filename, "batch_output", buf_str(&text), text.len, &e);
	if (*e.msg)
		log_warn("%s", e.msg);
	buf_release(&text);
	mem_free(filename);
	mem_free(path);
	return file;
}

static void remove_file(const struct batches *b, const struct one *o, const char *end)
{
	char *path = place(b, o, end);

	unlink(path);
	mem_free(path);
}

static void finish(struct batches *b, struct one *o, const char *status, const char *when)
{
	static const struct { const char *end, *key, *name; } files[] = { { ".out", "output_file_id", "output" },
		                                                          { ".err", "error_file_id", "error" } };
	json_t *made[ARRAY_LEN(files)];

	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		made[i] = file_of(b, o, files[i].end, files[i].name);
	pthread_mutex_lock(&b->lock);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (made[i])
			json_object_set(o->batch, files[i].key, json_object_get(made[i], "id"));
	set_status_locked(o, status, when);
	save_locked(b, o);
	pthread_mutex_unlock(&b->lock);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		json_decref(made[i]);
		remove_file(b, o, files[i].end);
	}
	buf_release(&o->text);
	json_decref(o->done);
	o->done = NULL;
}

/* --- what begins --- */

static struct one *one_of(struct batches *b, size_t i)
{
	pthread_mutex_lock(&b->lock);
	struct one *o = i < b->n ? b->all[i] : NULL;
	pthread_mutex_unlock(&b->lock);
	return o;
}

/* The lines that a file of its has, into done; what was not whole is taken away. */
static int read_done(struct batches *b, struct one *o, const char *end, const char *key, struct err *e)
{
	json_int_t n_done = 0;
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
			n_done++;
		}
		json_decref(j);
	}
	pthread_mutex_lock(&b->lock);
	json_object_set_new(counts_of(o), key, json_integer(n_done));
	pthread_mutex_unlock(&b->lock);
	buf_release(&text);
	mem_free(path);
	return status;
}

/* It is worked on from now on. */
static int open_one(struct batches *b, struct one *o, struct err *e)
{
	char *input = files_path(b->o->dir, o->input);
	int status = input ? io_read(&o->text, input, e) : err_set(e, "its input file is gone");

	o->at = 0;
	o->done = json_object();
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
	set_status_locked(o, "failed", "failed_at");
	save_locked(b, o);
}

/* How it stands: is it worked on, and may lines of it still be begun? */
struct state { bool going, on, late; };

static struct state state_of(struct batches *b, const struct one *o)
{
	struct state s;

	pthread_mutex_lock(&b->lock);
	s.late = clock_wall_seconds() > (double)json_integer_value(json_object_get(o->batch, "expires_at"));
	s.going = is_going_locked(o);
	s.on = is_locked(o, "in_progress") && !s.late;
	pthread_mutex_unlock(&b->lock);
	return s;
}

static struct line *line_of(struct batches *b, struct one *o, const char *id, const json_t *body)
{
	struct line *l = mem_alloc(sizeof(*l));

	*l = (struct line){ .b = b, .one = o, .custom_id = mem_strdup(id), .body = jsonx_line(body) };
	pthread_mutex_lock(&b->lock);
	l->endpoint = mem_strdup(text_of(o->batch, "endpoint"));
	l->key = mem_strdup(text_of(o->batch, "key"));
	pthread_mutex_unlock(&b->lock);
	return l;
}

/* The next of its lines that was not asked yet; NULL: there is none. */
static struct line *line_that_follows(struct batches *b, struct one *o)
{
	struct err e = ERR_INIT;
	struct line *l = NULL;
	size_t n;

	for (const char *line; !l && (line = next_line(&o->text, &o->at, &n));) {
		json_t *j = jsonx_load(line, n, "", &e);
		const char *id = text_of(j, "custom_id");
		if (!json_object_get(o->done, id))
			l = line_of(b, o, id, json_object_get(j, "body"));
		json_decref(j);
	}
	return l;
}

/* The next line of the oldest batch that has one; NULL: there is none. What is over becomes files. again: lines for
 * which there was no room may be asked once more. */
static struct line *take(struct batches *b, bool again)
{
	struct one *o;

	for (size_t i = 0; (o = one_of(b, i)); i++) {
		struct state s = state_of(b, o);
		struct err e = ERR_INIT;
		struct line *l = NULL;
		if (!s.going)
			continue;
		if (!o->done && open_one(b, o, &e) < 0) {
			pthread_mutex_lock(&b->lock);
			fail_locked(b, o, e.msg, 0);
			pthread_mutex_unlock(&b->lock);
			continue;
		}
		if (s.on && o->again && again && !o->flying) {
			o->again = false;
			o->at = 0;
		}
		if (s.on && (l = line_that_follows(b, o)))
			return l;
		if (o->flying || (s.on && o->again))
			return NULL;
		if (s.on || s.late)
			finish(b, o, s.late ? "expired" : "completed", s.late ? "expired_at" : "completed_at");
		else
			finish(b, o, "cancelled", "cancelled_at");
	}
	return NULL;
}

/* Is there room beside those that others ask? */
static bool has_room(struct batches *b)
{
	struct openai *list[MODELS_MOST];
	size_t n = models_list(b->o->models, list);
	int pending = 0, parallel = 0, flying = 0;
	struct one *o;

	for (size_t i = 0; (o = one_of(b, i)); i++)
		flying += o->flying;
	for (size_t i = 0; i < n; i++) {
		pthread_mutex_lock(&list[i]->lock);
		pending += list[i]->pending;
		pthread_mutex_unlock(&list[i]->lock);
		parallel = list[i]->o.parallel;
	}
	return !flying || (flying < parallel && pending < parallel);
}

/* The call that a line is; its reply comes to `replied` at once or later. */
static void ask(struct line *l)
{
	struct http_request q = { .method = "POST",
		                  .path = l->endpoint,
		                  .body = l->body,
		                  .n_body = strlen(l->body),
		                  .whose = l->key,
		                  .replied = replied,
		                  .replied_ctx = l };
	struct http_reply r = { 200, "application/json" };

	l->one->flying++;
	models_answer(l->b->o->models, &q, &r);
	if (r.body.len)
		replied(l, &r);
	buf_release(&r.body);
}

/* Whether the next line may be begun; then it is said when it was. */
static bool may_ask(struct batches *b)
{
	pthread_mutex_lock(&b->wake);
	b->asks = !b->stopped;
	bool may = b->asks;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->wake);
	return may;
}

static void ask_lines(struct batches *b, bool again)
{
	struct line *l;

	while (may_ask(b) && has_room(b) && (l = take(b, again)))
		ask(l);
	pthread_mutex_lock(&b->wake);
	b->asks = false;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->wake);
}

/* Lines that ended since; whether there may be more. */
static bool wait_for(struct batches *b, struct line **ended, bool *ticked)
{
	pthread_mutex_lock(&b->wake);
	while (!b->ended && !b->ticked && !b->cut)
		pthread_cond_wait(&b->changed, &b->wake);
	bool on = !b->cut;
	*ended = b->ended;
	*ticked = b->ticked;
	b->ended = NULL;
	b->ended_end = &b->ended;
	b->ticked = false;
	pthread_mutex_unlock(&b->wake);
	return on;
}

static void *work(void *ctx)
{
	struct batches *b = ctx;
	struct line *ended;
	bool ticked, on;

	do {
		on = wait_for(b, &ended, &ticked);
		end_lines(ended);
		if (on)
			ask_lines(b, ticked);
	} while (on);
	return NULL;
}

void batches_tick(struct batches *b)
{
	pthread_mutex_lock(&b->wake);
	b->ticked = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->wake);
}

void batches_stop(struct batches *b, bool cut)
{
	if (!b || !b->works)
		return;
	pthread_mutex_lock(&b->wake);
	b->stopped = true;
	while (b->asks) /* whatever it begins is the engine's then */
		pthread_cond_wait(&b->changed, &b->wake);
	b->cut |= cut;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->wake);
	if (cut) {
		pthread_join(b->thread, NULL);
		b->works = false;
	}
}

/* --- all of them --- */

static struct one *add_locked(struct batches *b, json_t *batch)
{
	struct one *o = mem_alloc(sizeof(*o));

	*o = (struct one){ .batch = batch, .id = text_of(batch, "id"), .input = text_of(batch, "input_file_id") };
	b->all = mem_grow(b->all, b->n + 1, sizeof(struct one *));
	return b->all[b->n++] = o;
}

int batches_new(struct batches **out, struct beside *beside, struct err *e)
{
	struct batches *b = *out = mem_alloc(sizeof(*b));
	char **names;
	size_t n;

	*b = (struct batches){ .o = &beside->o, .dir = io_join(beside->o.dir, "batches"), .ended_end = &b->ended };
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->wake, NULL);
	pthread_cond_init(&b->changed, NULL);
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
	errno = pthread_create(&b->thread, NULL, work, b);
	b->works = errno == 0;
	return b->works ? 0 : err_set(e, "no thread for batches: %s", strerror(errno));
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
	for (struct line *l = b->ended, *next; l; l = next) {
		next = l->next;
		line_free(l);
	}
	mem_free(b->all);
	mem_free(b->dir);
	pthread_mutex_destroy(&b->lock);
	pthread_mutex_destroy(&b->wake);
	pthread_cond_destroy(&b->changed);
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
		if (!strcmp(b->all[i]->id, id))
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
	int result = !o ? -1 : !is_going_locked(o);
	if (result == 0 && is_locked(o, "in_progress")) {
		set_status_locked(o, "cancelling", "cancelling_at");
		save_locked(b, o);
	}
	*now = o ? json_deep_copy(o->batch) : NULL;
	pthread_mutex_unlock(&b->lock);
	return result;
}
