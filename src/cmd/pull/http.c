/* http: libcurl's multi interface. Its numbers are those of its ABI, which has not changed since libcurl.so.4 exists.
 */
#include "cmd/pull/http.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/stop.h"

enum {
	LOW_SPEED_LIMIT = 19,
	LOW_SPEED_TIME = 20,
	NO_SIGNAL = 99,
	CONNECT_TIMEOUT = 78,
	PROTOCOLS = 181,
	WRITE_DATA = 10001,
	URL = 10002,
	RANGE = 10007,
	USER_AGENT = 10018,
	HTTP_HEADER = 10023,
	PRIVATE = 10103,
	WRITE_FUNCTION = 20011,
	INFO_STATUS = 0x200002,
	INFO_REDIRECT = 0x10001f,
	INFO_PRIVATE = 0x100015,
	HTTP = 1,
	HTTPS = 2,
	MESSAGE_DONE = 1,
	TRIES = 6,
	REDIRECTS = 8,
	AT_ONCE = 16,
	BODY_MAX = 64 << 20,
};

struct message {
	int kind;
	void *easy;
	union {
		void *other;
		int result;
	} data;
};

struct http {
	void *library, *multi;
	void *(*easy_init)(void);
	void (*easy_cleanup)(void *);
	int (*easy_setopt)(void *, int, ...);
	int (*easy_getinfo)(void *, int, ...);
	const char *(*easy_strerror)(int);
	void *(*list_append)(void *, const char *);
	void (*list_free)(void *);
	void *(*multi_init)(void);
	int (*multi_cleanup)(void *);
	int (*multi_add)(void *, void *);
	int (*multi_remove)(void *, void *);
	int (*multi_perform)(void *, int *);
	int (*multi_poll)(void *, void *, unsigned, int, int *);
	struct message *(*multi_read)(void *, int *);
};

struct http *http_new(struct err *e)
{
	struct http *h = mem_alloc(sizeof(*h));
	const struct {
		const char *name;
		void *to;
	} symbols[] = {
		{ "curl_easy_init", &h->easy_init },
		{ "curl_easy_cleanup", &h->easy_cleanup },
		{ "curl_easy_setopt", &h->easy_setopt },
		{ "curl_easy_getinfo", &h->easy_getinfo },
		{ "curl_easy_strerror", &h->easy_strerror },
		{ "curl_slist_append", &h->list_append },
		{ "curl_slist_free_all", &h->list_free },
		{ "curl_multi_init", &h->multi_init },
		{ "curl_multi_cleanup", &h->multi_cleanup },
		{ "curl_multi_add_handle", &h->multi_add },
		{ "curl_multi_remove_handle", &h->multi_remove },
		{ "curl_multi_perform", &h->multi_perform },
		{ "curl_multi_poll", &h->multi_poll },
		{ "curl_multi_info_read", &h->multi_read },
	};
	h->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!h->library)
		h->library = dlopen("libcurl-gnutls.so.4", RTLD_NOW | RTLD_LOCAL);
	for (size_t i = 0; h->library && i < ARRAY_LEN(symbols); i++) {
		void *found = dlsym(h->library, symbols[i].name);
		if (!found) {
			err_set(e, "libcurl is too old: it has no %s", symbols[i].name);
			http_free(h);
			return NULL;
		}
		memcpy(symbols[i].to, &found, sizeof(found));
	}
	if (!h->library || !(h->multi = h->multi_init())) {
		err_set(e, "fetching wants libcurl (libcurl.so.4), which is not there; Debian's package is libcurl4");
		http_free(h);
		return NULL;
	}
	return h;
}

void http_free(struct http *h)
{
	if (h && h->multi)
		h->multi_cleanup(h->multi);
	mem_free(h); /* the library stays: it has threads of its own kind */
}

/* --- one transfer --- */

static int fail(struct transfer *t, const char *what)
{
	snprintf(t->why, sizeof(t->why), "%s", what);
	return -1;
}

/* The first bytes of an answer: what status it has is known now; all instead of the rest begins anew. */
static int begin_answer(struct transfer *t)
{
	t->engine->easy_getinfo(t->easy, INFO_STATUS, &t->status);
	t->answered = true;
	if (t->status != 200 || t->have == 0)
		return 0;
	t->have = 0;
	buf_clear(&t->body);
	return t->fd >= 0 && ftruncate(t->fd, 0) ? fail(t, strerror(errno)) : 0;
}

/* Bytes of an answer; those of another status than "here it is" are of no use. */
static size_t take(char *data, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	size_t count = size * n;
	if (!t->answered && begin_answer(t))
		return 0;
	if (t->status != 200 && t->status != 206)
		return count;
	if (t->fd < 0) {
		buf_add(&t->body, data, count);
		return t->body.len > BODY_MAX ? 0 : count;
	}
	for (size_t done = 0; done < count;) {
		ssize_t k = write(t->fd, data + done, count - done);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			snprintf(t->why, sizeof(t->why), "writing failed: %s", strerror(errno));
			return 0;
		}
		done += (size_t)k;
		t->have += (size_t)k;
	}
	return count;
}

static bool same_origin(const char *a, const char *b)
{
	const char *x = strstr(a, "://"), *y = strstr(b, "://");
	size_t n = x ? (size_t)(x + 3 - a) + strcspn(x + 3, "/?#") : 0;
	size_t m = y ? (size_t)(y + 3 - b) + strcspn(y + 3, "/?#") : 0;
	return n && n == m && strncasecmp(a, b, n) == 0;
}

static void set_headers(struct http *h, struct transfer *t)
{
	char *line = t->token && same_origin(t->url, t->now) ? mem_printf("Authorization: Bearer %s", t->token) : NULL;
	h->list_free(t->headers);
	t->headers = line ? h->list_append(NULL, line) : NULL;
	h->easy_setopt(t->easy, HTTP_HEADER, t->headers);
	mem_free(line);
}

/* Asks for it, or for the rest of it. */
static int start(struct http *h, struct transfer *t)
{
	if (!t->easy && !(t->easy = h->easy_init()))
		return fail(t, "libcurl has no memory");
	t->engine = h;
	t->answered = false;
	t->status = 0;
	h->easy_setopt(t->easy, URL, t->now);
	h->easy_setopt(t->easy, USER_AGENT, "kungfu/" KUNGFU_VERSION);
	h->easy_setopt(t->easy, NO_SIGNAL, 1L);
	h->easy_setopt(t->easy, PROTOCOLS, (long)(HTTP | HTTPS));
	h->easy_setopt(t->easy, CONNECT_TIMEOUT, 30L);
	h->easy_setopt(t->easy, LOW_SPEED_LIMIT, 1L);
	h->easy_setopt(t->easy, LOW_SPEED_TIME, 60L);
	h->easy_setopt(t->easy, WRITE_FUNCTION, take);
	h->easy_setopt(t->easy, WRITE_DATA, t);
	h->easy_setopt(t->easy, PRIVATE, t);
	snprintf(t->range, sizeof(t->range), "%zu-", t->have);
	h->easy_setopt(t->easy, RANGE, t->have ? t->range : NULL);
	set_headers(h, t);
	return h->multi_add(h->multi, t->easy) ? fail(t, "libcurl does not take it") : 0;
}

/* Follows a redirect; 1: it is to be asked again. */
static int follow(struct http *h, struct transfer *t)
{
	char *to = NULL;
	h->easy_getinfo(t->easy, INFO_REDIRECT, &to);
	if (!to || ++t->redirects > REDIRECTS)
		return fail(t, to ? "it redirects in a circle" : "a redirect to nowhere");
	if (!strncasecmp(t->now, "https:", 6) && strncasecmp(to, "https:", 6))
		return fail(t, "it redirects from https to what is not");
	char *now = mem_strdup(to);
	mem_free(t->now);
	t->now = now;
	return 1;
}

/* What an answer, or none, means: 0 done, −1 failed, 1 to be asked again. */
static int judge(struct http *h, struct transfer *t, int result)
{
	if (*t->why)
		return -1;
	h->easy_getinfo(t->easy, INFO_STATUS, &t->status);
	if (result == 0 && t->status >= 300 && t->status < 400 && t->status != 304)
		return follow(h, t);
	bool whole = result == 0 && (t->status == 200 || t->status == 206);
	if (whole && (!t->want || t->have >= t->want))
		return 0;
	if (result == 0 && t->status == 416 && t->have) { /* what is there is not of this file */
		t->have = 0;
		if (t->fd >= 0 && ftruncate(t->fd, 0))
			return fail(t, strerror(errno));
	} else if (result == 0 && !whole && t->status < 500 && t->status != 429 && t->status != 408) {
		snprintf(t->why, sizeof(t->why), "the answer is %ld", t->status);
		return -1;
	}
	if (++t->tries < TRIES) {
		t->after = clock_seconds() + 0.05 * (1 << t->tries);
		return 1;
	}
	if (result)
		return fail(t, h->easy_strerror(result));
	if (whole)
		sentence_format(t->why, sizeof(t->why), "it ends after %zu of %zu bytes", t->have, t->want);
	else
		snprintf(t->why, sizeof(t->why), "the answer is %ld", t->status);
	return -1;
}

/* --- several --- */

struct running {
	struct http *h;
	struct transfer **waiting;
	size_t n_waiting, active, at_once;
};

static void begin_waiting(struct running *r)
{
	for (size_t i = 0; i < r->n_waiting && r->active < r->at_once;) {
		struct transfer *t = r->waiting[i];
		if (t->after > clock_seconds()) {
			i++;
			continue;
		}
		memmove(r->waiting + i, r->waiting + i + 1, (--r->n_waiting - i) * sizeof(*r->waiting));
		r->active += start(r->h, t) == 0;
	}
}

static void end_finished(struct running *r)
{
	struct http *h = r->h;
	int left;
	for (struct message *m; (m = h->multi_read(h->multi, &left));) {
		struct transfer *t = NULL;
		int result = m->data.result;
		if (m->kind != MESSAGE_DONE)
			continue;
		h->easy_getinfo(m->easy, INFO_PRIVATE, (char **)&t);
		h->multi_remove(h->multi, t->easy);
		r->active--;
		if (judge(h, t, result) > 0)
			r->waiting[r->n_waiting++] = t;
	}
}

static void release(struct http *h, struct transfer *t)
{
	if (t->easy) {
		h->multi_remove(h->multi, t->easy);
		h->easy_cleanup(t->easy);
	}
	h->list_free(t->headers);
	mem_free(t->now);
	t->easy = t->headers = NULL;
	t->now = NULL;
}

int http_run(struct http *h, struct transfer *list, size_t n, size_t at_once, void (*tell)(void *ctx), void *ctx,
             struct err *e)
{
	struct running r = { .h = h, .waiting = mem_array(n, sizeof(*r.waiting)), .at_once = MIN(at_once, AT_ONCE) };
	int status = 0;
	for (size_t i = 0; i < n; i++) {
		list[i].now = mem_strdup(list[i].url);
		if (!list[i].want || list[i].have < list[i].want) /* else all was there already */
			r.waiting[r.n_waiting++] = &list[i];
	}
	while (status == 0 && (r.n_waiting || r.active)) {
		int running, ready;
		begin_waiting(&r);
		h->multi_perform(h->multi, &running);
		end_finished(&r);
		if (tell)
			tell(ctx);
		status = stop_look(e, "fetching");
		if (status == 0 && (r.n_waiting || r.active))
			h->multi_poll(h->multi, NULL, 0, r.active ? 200 : 20, &ready);
	}
	for (size_t i = 0; i < n; i++)
		release(h, &list[i]);
	mem_free(r.waiting);
	return status;
}
