/* http: the daemon, its connections and what is asked of every request. See http.h for what it promises. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "serve/microhttpd.h"

enum { GRACE = 1 /* second for a reply to one that has closed its side */, LARGE = 1 << 20 /* bytes of a body */ };

/* A connection that is open, and since when it owes a whole request. */
struct watched {
	int fd;
	double since;
	struct watched *next, **at;
};

struct http {
	struct http_options o;
	struct microhttpd lib;
	struct MHD_Daemon *daemon;
	int port;
	pthread_mutex_t lock;           /* of the lists, and of what is in later */
	size_t refs;                    /* its owner's, and of each in `later` */
	bool stopped;                   /* what is replied to later goes nowhere */
	struct watched *list;
	int n_watched;
	_Atomic size_t bodies;          /* bytes that are held of bodies */
	struct http_later *later;
	/* of large bodies */
	pthread_t reader;
	bool reads;                     /* it is there */
	pthread_mutex_t apart_lock;     /* of what follows */
	pthread_cond_t apart_came;
	struct apart *apart, **apart_end; /* those that wait */
	bool apart_stopped;
};

/* A request that is being read, or waits for its reply. */
struct exchange {
	struct http *h;
	struct MHD_Connection *connection;
	struct buf body;
	bool refused;                   /* answered already */
	struct http_later *later;       /* or NULL */
};

/* A request with a large body, whole: its connection waits meanwhile. */
struct apart {
	struct http_later *later;
	bool taken;                     /* `answer` has taken it */
	char *method, *path, *bearer, *form;
	struct buf body;
	json_t *query;
	struct apart *next;
};

/* A reply that comes from another thread. It is two's: of who replies, until that is over, and of the connection's. */
struct http_later {
	struct http *h;                 /* NULL: no connection brought it */
	void (*alone)(void *ctx, struct http_reply *r); /* and this takes the reply */
	void *ctx;
	struct exchange *exchange;      /* NULL: the connection is done with it */
	int fd;
	struct http_reply reply;        /* head; the body, where it is whole */
	struct buf out;                 /* of a body that grows: what came; [0, sent) was taken */
	size_t sent;
	bool replied, growing, ended, left, suspended;
	struct http_later *next, **at;
};

/* --- replies --- */

void http_error(struct http_reply *r, int status, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = sentence_vprintf(fmt, ap);
	va_end(ap);
	json_t *j = json_pack("{s:{s:o, s:s}}", "error", "message", jsonx_text(message, strlen(message)), "code", code);
	char *line = jsonx_line(j);
	r->status = status;
	r->type = "application/json";
	buf_clear(&r->body);
	buf_adds(&r->body, line);
	mem_free(line);
	mem_free(message);
	json_decref(j);
}

/* How deep brackets stand in brackets, and about how many values there are; strings are passed over. */
static int depth_of(const char *text, size_t n, size_t *values)
{
	int depth = 0, most = 0;
	bool quoted = false;

	*values = 1;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		if (quoted)
			continue;
		*values += c == ',' || c == '[' || c == '{';
		depth += (c == '[' || c == '{') - (c == ']' || c == '}');
		most = MAX(most, depth);
	}
	return most;
}

json_t *http_json(const struct http_request *q, struct http_reply *r)
{
	struct err e = ERR_INIT;
	json_t *j = NULL;
	size_t values;
	int depth = depth_of(q->body, q->n_body, &values);

	if (!q->n_body)
		return json_object();
	if (depth > HTTP_DEPTH)
		err_set(&e, "the body is nested %d deep, at most %d are read", depth, HTTP_DEPTH);
	else if (values > HTTP_VALUES)
		err_set(&e, "the body has %zu values, at most %d are read", values, HTTP_VALUES);
	else if ((j = jsonx_load(q->body, q->n_body, "the body", &e)) && !json_is_object(j))
		err_set(&e, "the body is no JSON object");
	if (!*e.msg)
		return j;
	http_error(r, 400, "json", "%s", e.msg);
	json_decref(j);
	return NULL;
}

void http_header(struct http_reply *r, const char *name, const char *fmt, ...)
{
	va_list ap;

	if (r->n_headers == HTTP_HEADERS)
		BUG("more than %d headers of a reply", HTTP_HEADERS);
	va_start(ap, fmt);
	vsnprintf(r->header[r->n_headers].value, sizeof(r->header[0].value), fmt, ap);
	va_end(ap);
	r->header[r->n_headers++].name = name;
}

static enum MHD_Result queue(struct http *h, struct MHD_Connection *c, const struct http_reply *r,
                             struct MHD_Response *response, bool close)
{
	const struct { const char *name, *value; } headers[] = {
		{ "Content-Type", r->type },
		{ "Content-Security-Policy", r->policy ? r->policy : "default-src 'none'; frame-ancestors 'none'" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Referrer-Policy", "no-referrer" },
		{ "Cross-Origin-Opener-Policy", "same-origin" },
		{ "Cross-Origin-Resource-Policy", "same-origin" },
		{ "Cache-Control", "no-store" },
		{ "Allow", r->allow },
		{ "WWW-Authenticate", r->status == 401 ? "Bearer" : NULL },
		{ "Connection", close ? "close" : NULL },
	};
	enum MHD_Result status = MHD_NO;

	for (size_t i = 0; response && i < ARRAY_LEN(headers); i++)
		if (headers[i].value)
			h->lib.add_header(response, headers[i].name, headers[i].value);
	for (int i = 0; response && i < r->n_headers; i++)
		h->lib.add_header(response, r->header[i].name, r->header[i].value);
	if (response) {
		status = h->lib.queue(c, (unsigned)r->status, response);
		h->lib.drop(response);
	}
	return status;
}

static enum MHD_Result send_reply(struct http *h, struct MHD_Connection *c, struct http_reply *r, bool close)
{
	struct MHD_Response *response = h->lib.response(r->body.len, (void *)buf_str(&r->body), MHD_RESPMEM_MUST_COPY);
	enum MHD_Result status = queue(h, c, r, response, close);

	buf_release(&r->body);
	return status;
}

/* --- what is asked of every request --- */

struct header { const char *name, *value; size_t times; };

static enum MHD_Result look(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct header *x = ctx;

	(void)kind;
	if (strcasecmp(name, x->name))
		return MHD_YES;
	x->value = value;
	x->times++;
	return MHD_YES;
}

/* A header's value, NULL where it is not there; *times: how often it is. */
static const char *header(struct http *h, struct MHD_Connection *c, const char *name, size_t *times)
{
	struct header x = { name };

	h->lib.values(c, MHD_HEADER_KIND, look, &x);
	if (times)
		*times = x.times;
	return x.times ? x.value ? x.value : "" : NULL;
}

const char *http_query(const struct http_request *q, const char *name)
{
	struct header x = { name };

	if (q->apart)
		return json_string_value(json_object_get(q->apart->query, name));
	if (!q->exchange) /* no connection brought it */
		return NULL;
	q->exchange->h->lib.values(q->exchange->connection, MHD_GET_ARGUMENT_KIND, look, &x);
	return x.times ? x.value ? x.value : "" : NULL;
}

/* Later ones refuse what is broken, when they are told to. */
static bool is_lenient(const struct http *h) { return !strncmp(h->lib.version(), "0.9.", 4); }

struct line { const char *at; bool whole; };

/* The next header: it must stand where the last line ended. */
static enum MHD_Result follow(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct line *l = ctx;

	(void)kind;
	if (!value || name != l->at || value <= name || strpbrk(name, " \t\r\n") || strpbrk(value, "\r\n"))
		return l->whole = false, MHD_NO;
	for (const char *p = name + strlen(name) + 1; p < value; p++)
		l->whole &= *p == ' ' || *p == '\t';
	l->at = value + strlen(value) + 2;
	return l->whole ? MHD_YES : MHD_NO;
}

/* Is the head made of lines that end in CR LF, none of them folded, no name with a space? The library takes others
 * up to 0.9, and adds a folded line to the header's name, so that it hides what a proxy sees. It parses in place,
 * ending with zeros what it found, so lines that were as they should be lie one after another, with two zeros
 * between and four at the end. */
static bool check_lines(struct http *h, struct MHD_Connection *c, const char *version, struct http_reply *r)
{
	struct line l = { version + strlen(version) + 2, true };

	if (!is_lenient(h))
		return true;
	h->lib.values(c, MHD_HEADER_KIND, follow, &l);
	if (!l.whole || l.at[0] || l.at[1])
		http_error(r, 400, "head", "the request's head has a line that is folded, does not end in CR LF or "
		           "has a space in its name");
	return !r->status;
}

/* host is name and our port, which 80 may leave out. */
static bool is_host(const struct http *h, const char *host, const char *name)
{
	size_t n = strlen(name);
	char port[16];

	snprintf(port, sizeof(port), ":%d", h->port);
	return !strncasecmp(host, name, n) && ((h->port == 80 && !host[n]) || !strcmp(host + n, port));
}

/* One of http_options.hosts, which a proxy before us may answer for: as it is, or with our port. */
static bool is_listed(const struct http *h, const char *host)
{
	for (size_t i = 0; i < h->o.n_hosts; i++)
		if (!strcasecmp(host, h->o.hosts[i]) || is_host(h, host, h->o.hosts[i]))
			return true;
	return false;
}

static bool allowed_host(const struct http *h, const char *host)
{
	static const char *const always[] = { "localhost", "127.0.0.1", "[::1]" };
	char own[96];

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (is_host(h, host, always[i]))
			return true;
	http_base(h->o.address, h->port, own);
	return is_listed(h, host) || !strcasecmp(host, own + strlen("http://"));
}

static bool own_origin(const struct http *h, const char *origin, const char *host)
{
	if (!strncasecmp(origin, "https://", 8))
		return is_listed(h, host) && !strcasecmp(origin + 8, host);
	return !strncasecmp(origin, "http://", 7) && !strcasecmp(origin + 7, host);
}

static bool changes(const char *method) { return strcmp(method, "GET") && strcmp(method, "HEAD"); }

/* Who may ask at all; false: the reply says why not. */
static bool check_caller(struct http *h, struct MHD_Connection *c, const char *method, struct http_reply *r)
{
	size_t hosts, origins;
	const char *host = header(h, c, "Host", &hosts), *origin = header(h, c, "Origin", &origins);

	if (hosts != 1)
		http_error(r, 400, "host", "a request has one Host, this one has %zu", hosts);
	else if (!allowed_host(h, host))
		http_error(r, 421, "host", "nothing is served here for the host %.100s", host);
	else if (changes(method) && origins && (origins > 1 || !own_origin(h, origin, host)))
		http_error(r, 403, "origin", "a page of %.100s may not change anything here", origin);
	return !r->status;
}

static bool is_type(const char *type, const char *wanted)
{
	size_t n = strlen(wanted);

	return type && !strncasecmp(type, wanted, n) && (!type[n] || strchr("; \t", type[n]));
}

/* The Content-Type of a form, where one may be; else NULL. */
static const char *form_type(struct http *h, struct MHD_Connection *c, const char *method, const char *path)
{
	const char *type = header(h, c, "Content-Type", NULL);
	bool may = h->o.form_path && !strcmp(path, h->o.form_path) && !strcmp(method, "POST");

	return may && is_type(type, "multipart/form-data") ? type : NULL;
}

/* Is it said once where the request ends; false: the reply says what is wrong with it. */
static bool check_end(struct http *h, struct MHD_Connection *c, const char *method, struct http_reply *r)
{
	size_t lengths, codings;
	const char *length = header(h, c, "Content-Length", &lengths);

	header(h, c, "Transfer-Encoding", &codings);
	if (codings || lengths > 1 || (length && (!*length || strspn(length, "0123456789") != strlen(length))))
		http_error(r, 400, "length", "where a body ends is said by one Content-Length here, and nothing else");
	else if (!changes(method) && length && strtoull(length, NULL, 10) > 0)
		http_error(r, 400, "body", "%s has no body here", method);
	return !r->status;
}

static size_t body_max(const struct http *h, const char *form)
{
	return form ? h->o.form_max : h->o.body_max ? h->o.body_max : HTTP_BODY_MAX;
}

/* Is the body one that is read; false: the reply says what is wrong with it. */
static bool check_body(struct http *h, struct MHD_Connection *c, const char *method, const char *form,
                       struct http_reply *r)
{
	const char *length = header(h, c, "Content-Length", NULL);

	if (!changes(method) || (!length && !strcmp(method, "DELETE")))
		return true;
	if (!length)
		http_error(r, 411, "length", "a Content-Length is wanted");
	else if (strlen(length) > 18 || strtoull(length, NULL, 10) > body_max(h, form))
		http_error(r, 413, "length", "a body of %.20s bytes, at most %zu are read", length, body_max(h, form));
	else if (!form && !is_type(header(h, c, "Content-Type", NULL), "application/json"))
		http_error(r, 415, "type", "a body is application/json here");
	return !r->status;
}

/* --- connections --- */

/* From `since` on it owes a whole request; INFINITY: it owes none, a reply is owed to it. */
static void owes(struct http *h, struct MHD_Connection *c, double since)
{
	const union MHD_ConnectionInfo *i = h->lib.info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct watched *w = i ? i->socket_context : NULL;

	pthread_mutex_lock(&h->lock);
	if (w)
		w->since = since;
	pthread_mutex_unlock(&h->lock);
}

static void watch(void *ctx, struct MHD_Connection *c, void **mine, enum MHD_ConnectionNotificationCode what)
{
	struct http *h = ctx;
	struct watched *w = *mine;

	pthread_mutex_lock(&h->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		w = *mine = mem_alloc(sizeof(*w));
		*w = (struct watched){ h->lib.info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, clock_seconds(),
			               h->list, &h->list };
		if (w->next)
			w->next->at = &w->next;
		h->list = w;
		h->n_watched++;
	} else if (w) {
		h->n_watched--;
		*w->at = w->next;
		if (w->next)
			w->next->at = w->at;
		mem_free(w);
		*mine = NULL;
	}
	pthread_mutex_unlock(&h->lock);
}

/* Nothing more will come of it: the library (0.9.75) may not notice that the other side has gone. */
static bool is_gone(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

static int connections_most(const struct http *h) { return h->o.connections ? h->o.connections : HTTP_CONNECTIONS; }

void http_tick(struct http *h)
{
	double now = clock_seconds(), patience = h->o.patience > 0 ? h->o.patience : HTTP_PATIENCE;

	pthread_mutex_lock(&h->lock);
	if (4 * h->n_watched > 3 * connections_most(h))
		patience = fmin(patience, HTTP_HURRY);
	for (struct watched *w = h->list; w; w = w->next)
		if (now - w->since > patience || (now - w->since > GRACE && is_gone(w->fd)))
			shutdown(w->fd, SHUT_RDWR);
	for (struct http_later *l = h->later; l; l = l->next)
		l->left |= l->exchange && is_gone(l->fd);
	pthread_mutex_unlock(&h->lock);
}

/* --- later: h->lock is held where a function's name ends in _locked --- */

struct http_later *http_later(const struct http_request *q)
{
	struct exchange *x = q->exchange;
	struct http *h = x ? x->h : NULL;
	struct http_later *l;

	if (q->apart) {
		q->apart->taken = true;
		return q->apart->later;
	}
	l = mem_alloc(sizeof(*l));
	if (!h) {
		l->alone = q->replied;
		l->ctx = q->replied_ctx;
		return l;
	}
	*l = (struct http_later){ .h = h, .exchange = x, .at = &h->later,
		                  .fd = h->lib.info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd };
	owes(h, x->connection, INFINITY);
	pthread_mutex_lock(&h->lock);
	l->next = h->later;
	if (l->next)
		l->next->at = &l->next;
	h->later = l;
	h->refs++;
	x->later = l;
	pthread_mutex_unlock(&h->lock);
	return l;
}

static void unlock(struct http *h)
{
	bool last = h->refs == 0;

	pthread_mutex_unlock(&h->lock);
	if (last) {
		pthread_mutex_destroy(&h->lock);
		mem_free(h); /* the library stays */
	}
}

/* The connection goes on: its reply, or a piece of it, is there. */
static void wake_locked(struct http_later *l)
{
	if (l->exchange && l->suspended)
		l->h->lib.resume(l->exchange->connection);
	l->suspended = false;
}

static void suspend_locked(struct http_later *l)
{
	l->suspended = true;
	l->h->lib.suspend(l->exchange->connection);
}

/* When both are done with it. */
static void drop_locked(struct http_later *l)
{
	if (l->exchange || !l->ended)
		return;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	buf_release(&l->reply.body);
	buf_release(&l->out);
	l->h->refs--;
	mem_free(l);
}

static void reply_locked(struct http_later *l, struct http_reply *r, bool growing)
{
	if (l->replied && !l->h->stopped)
		BUG("a request is replied to twice");
	if (l->replied) {
		buf_release(&r->body);
		return;
	}
	l->reply = *r;
	l->replied = true;
	l->growing = growing;
	r->body = (struct buf)BUF_INIT;
}

void http_later_reply(struct http_later *l, struct http_reply *r)
{
	struct http *h = l->h;

	if (!h) {
		l->alone(l->ctx, r);
		buf_release(&r->body);
		mem_free(l);
		return;
	}
	pthread_mutex_lock(&h->lock);
	reply_locked(l, r, false);
	l->ended = true;
	wake_locked(l);
	drop_locked(l);
	unlock(h);
}

void http_later_begin(struct http_later *l, struct http_reply *r)
{
	pthread_mutex_lock(&l->h->lock);
	reply_locked(l, r, true);
	wake_locked(l);
	pthread_mutex_unlock(&l->h->lock);
}

void http_later_add(struct http_later *l, const char *bytes, size_t n)
{
	pthread_mutex_lock(&l->h->lock);
	if (!l->growing && !l->h->stopped)
		BUG("a piece of a reply that has no head");
	if (l->exchange && l->growing)
		buf_add(&l->out, bytes, n);
	wake_locked(l);
	pthread_mutex_unlock(&l->h->lock);
}

void http_later_end(struct http_later *l)
{
	struct http *h = l->h;

	pthread_mutex_lock(&h->lock);
	l->ended = true;
	wake_locked(l);
	drop_locked(l);
	unlock(h);
}

bool http_later_left(struct http_later *l)
{
	if (!l->h)
		return false;
	pthread_mutex_lock(&l->h->lock);
	bool left = l->left || !l->exchange;
	pthread_mutex_unlock(&l->h->lock);
	return left;
}

/* The next bytes of a body that grows. */
static ssize_t grow(void *ctx, uint64_t at, char *to, size_t most)
{
	struct http_later *l = ctx;
	struct http *h = l->h;
	(void)at;

	pthread_mutex_lock(&h->lock);
	ssize_t n = (ssize_t)MIN(most, l->out.len - l->sent);
	if (n) {
		memcpy(to, buf_str(&l->out) + l->sent, (size_t)n);
		l->sent += (size_t)n;
	} else if (l->ended || h->stopped) {
		n = MHD_CONTENT_READER_END_OF_STREAM;
	} else {
		suspend_locked(l);
	}
	if (l->sent == l->out.len) {
		buf_clear(&l->out);
		l->sent = 0;
	}
	pthread_mutex_unlock(&h->lock);
	return n;
}

/* Nobody is to reply any more. */
static void refuse_locked(struct http_later *l)
{
	struct http_reply r = { .type = "application/json" };

	if (l->replied)
		return;
	http_error(&r, 503, "stopped", "the server ends");
	reply_locked(l, &r, false);
}

/* What came from the other thread, to the connection; nothing yet: it waits, unless the server ends. */
static enum MHD_Result send_later(struct exchange *x)
{
	struct http_later *l = x->later;
	struct http *h = x->h;
	enum { PIECE = 4096 };

	pthread_mutex_lock(&h->lock);
	if (h->stopped)
		refuse_locked(l);
	bool replied = l->replied;
	if (!replied)
		suspend_locked(l);
	pthread_mutex_unlock(&h->lock);
	if (!replied)
		return MHD_YES;
	if (!l->growing)
		return send_reply(h, x->connection, &l->reply, false);
	return queue(h, x->connection, &l->reply, h->lib.growing(MHD_SIZE_UNKNOWN, PIECE, grow, l, NULL), false);
}

/* The connection is done with it. */
static void leave_later(struct exchange *x)
{
	struct http *h = x->h;

	pthread_mutex_lock(&h->lock);
	x->later->exchange = NULL;
	drop_locked(x->later);
	unlock(h);
}

/* No connection waits for another thread any more: what was not replied to is told so. */
static void stop_later(struct http *h)
{
	pthread_mutex_lock(&h->lock);
	for (struct http_later *l = h->later; l; l = l->next) {
		refuse_locked(l);
		wake_locked(l);
	}
	h->stopped = true;
	pthread_mutex_unlock(&h->lock);
}

/* --- one request --- */

static const char *bearer(const char *authorization)
{
	return authorization && !strncasecmp(authorization, "Bearer ", 7) ? authorization + 7 : NULL;
}

static enum MHD_Result begin(struct http *h, struct MHD_Connection *c, const char *method, const char *path,
                              const char *version, void **state)
{
	struct exchange *x = mem_alloc(sizeof(*x));
	const char *form = form_type(h, c, method, path);
	struct http_request q = { method, path, bearer(header(h, c, "Authorization", NULL)), "", 0, form, x };
	struct http_reply r = { .type = "application/json" };

	*x = (struct exchange){ .h = h, .connection = c };
	*state = x;
	if (check_lines(h, c, version, &r) && check_caller(h, c, method, &r) && check_end(h, c, method, &r) &&
	    (!h->o.admit || h->o.admit(h->o.ctx, &q, &r)) && check_body(h, c, method, form, &r))
		return MHD_YES;
	x->refused = true;
	return send_reply(h, c, &r, true);
}

static void drop_body(struct http *h, struct exchange *x)
{
	size_t n = x->body.len;

	h->bodies -= n;
	buf_release(&x->body);
	if (n > LARGE) /* with what was made of it */
		mem_trim();
}

/* --- apart --- */

static enum MHD_Result keep(void *ctx, enum MHD_ValueKind kind, const char *name, const char *value)
{
	(void)kind;
	json_object_set_new(ctx, name, json_string(value ? value : ""));
	return MHD_YES;
}

static char *copy_of(const char *text) { return text ? mem_strdup(text) : NULL; }

/* To the second thread. */
static void put_apart(struct http *h, const struct http_request *q)
{
	struct apart *a = mem_alloc(sizeof(*a));
	struct exchange *x = q->exchange;

	*a = (struct apart){ .later = http_later(q),
		             .method = mem_strdup(q->method),
		             .path = mem_strdup(q->path),
		             .bearer = copy_of(q->bearer),
		             .form = copy_of(q->form),
		             .body = x->body,
		             .query = json_object() };
	x->body = (struct buf)BUF_INIT;
	h->lib.values(x->connection, MHD_GET_ARGUMENT_KIND, keep, a->query);
	pthread_mutex_lock(&h->apart_lock);
	*h->apart_end = a;
	h->apart_end = &a->next;
	pthread_cond_signal(&h->apart_came);
	pthread_mutex_unlock(&h->apart_lock);
}

static void apart_free(struct http *h, struct apart *a)
{
	h->bodies -= a->body.len;
	buf_release(&a->body);
	mem_trim();
	json_decref(a->query);
	mem_free(a->method);
	mem_free(a->path);
	mem_free(a->bearer);
	mem_free(a->form);
	mem_free(a);
}

/* The next, waited for; NULL: there is none any more. */
static struct apart *next_apart(struct http *h, bool *stopped)
{
	pthread_mutex_lock(&h->apart_lock);
	while (!h->apart && !h->apart_stopped)
		pthread_cond_wait(&h->apart_came, &h->apart_lock);
	struct apart *a = h->apart;
	if (a && !(h->apart = a->next))
		h->apart_end = &h->apart;
	*stopped = h->apart_stopped;
	pthread_mutex_unlock(&h->apart_lock);
	return a;
}

static void *read_apart(void *ctx)
{
	struct http *h = ctx;
	struct apart *a;
	bool stopped;

	while ((a = next_apart(h, &stopped))) {
		struct http_request q = { .method = a->method, .path = a->path, .bearer = a->bearer,
			                  .body = buf_str(&a->body), .n_body = a->body.len, .form = a->form,
			                  .apart = a };
		struct http_reply r = { 200, "application/json" };
		if (!stopped && !http_later_left(a->later))
			h->o.answer(h->o.ctx, &q, &r);
		if (!a->taken)
			http_later_reply(a->later, &r);
		apart_free(h, a);
	}
	return NULL;
}

static bool start_apart(struct http *h)
{
	h->apart_end = &h->apart;
	pthread_mutex_init(&h->apart_lock, NULL);
	pthread_cond_init(&h->apart_came, NULL);
	errno = pthread_create(&h->reader, NULL, read_apart, h);
	h->reads = errno == 0;
	return h->reads;
}

/* Once there are no connections: what waits is answered by nobody. */
static void stop_apart(struct http *h)
{
	if (!h->reads)
		return;
	pthread_mutex_lock(&h->apart_lock);
	h->apart_stopped = true;
	pthread_cond_signal(&h->apart_came);
	pthread_mutex_unlock(&h->apart_lock);
	pthread_join(h->reader, NULL);
	pthread_mutex_destroy(&h->apart_lock);
	pthread_cond_destroy(&h->apart_came);
	h->reads = false;
}

/* --- a whole request --- */

static enum MHD_Result finish(struct http *h, struct MHD_Connection *c, const char *method, const char *path,
                              struct exchange *x)
{
	struct http_request q = { method, path, bearer(header(h, c, "Authorization", NULL)), buf_str(&x->body),
		                  x->body.len, form_type(h, c, method, path), x };
	struct http_reply r = { 200, "application/json" };

	if (x->later)
		return send_later(x);
	if (h->reads && x->body.len > HTTP_BODY_SMALL) {
		put_apart(h, &q);
		return send_later(x);
	}
	h->o.answer(h->o.ctx, &q, &r);
	drop_body(h, x);
	if (x->later)
		return send_later(x);
	owes(h, c, clock_seconds());
	return send_reply(h, c, &r, false);
}

/* n bytes of a body; MHD_NO: that ends the connection. */
static enum MHD_Result take_body(struct http *h, struct exchange *x, const char *data, size_t *n, size_t most)
{
	size_t all = h->o.bodies_max ? h->o.bodies_max : HTTP_BODIES_MAX;

	if (x->body.len + *n > most || (h->bodies + *n > all && x->body.len + *n > HTTP_BODY_SMALL))
		return MHD_NO;
	buf_add(&x->body, data, *n);
	h->bodies += *n;
	*n = 0;
	return MHD_YES;
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
                              const char *version, const char *data, size_t *n, void **state)
{
	struct exchange *x = *state;

	if (!x)
		return begin(ctx, c, method, path, version, state);
	if (x->refused || *n == 0)
		return x->refused ? MHD_YES : finish(ctx, c, method, path, x);
	return take_body(ctx, x, data, n, body_max(ctx, form_type(ctx, c, method, path)));
}

static void done(void *ctx, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *state;
	struct http *h = ctx;

	(void)why;
	if (x && x->later) {
		leave_later(x);
		owes(h, c, clock_seconds());
	}
	if (x)
		drop_body(h, x);
	mem_free(x);
	*state = NULL;
}

/* --- the daemon --- */

/* An address in numbers; NULL: it is none. Freed by freeaddrinfo. */
static struct addrinfo *resolve(const char *address)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM,
		                        .ai_flags = AI_NUMERICHOST | AI_PASSIVE };
	struct addrinfo *found = NULL;

	return getaddrinfo(strcmp(address, "localhost") ? address : "127.0.0.1", NULL, &hints, &found) ? NULL : found;
}

static void set_port(struct sockaddr *a, int port)
{
	if (a->sa_family == AF_INET6)
		((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
}

bool http_is_loopback(const char *address)
{
	struct addrinfo *a = resolve(address);
	bool loopback = false;

	if (a && a->ai_family == AF_INET6)
		loopback = IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)a->ai_addr)->sin6_addr);
	else if (a)
		loopback = ntohl(((struct sockaddr_in *)a->ai_addr)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (a)
		freeaddrinfo(a);
	return loopback;
}

void http_base(const char *address, int port, char out[96])
{
	snprintf(out, 96, strchr(address, ':') ? "http://[%.60s]:%d" : "http://%.60s:%d", address, port);
}

static int listen_on(struct http *h, struct err *e)
{
	struct addrinfo *a = resolve(h->o.address);
	struct sockaddr_storage bound;
	socklen_t n = sizeof(bound);
	int fd = -1, yes = 1;

	if (!a)
		return err_set(e, "%.60s is no IP address", h->o.address);
	set_port(a->ai_addr, h->o.port);
	/* at once on a port that a server before us left */
	if ((fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) || bind(fd, a->ai_addr, a->ai_addrlen) ||
	    listen(fd, 512) || getsockname(fd, (struct sockaddr *)&bound, &n)) {
		err_set(e, "%s:%d cannot be served on: %s", h->o.address, h->o.port, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	} else {
		h->port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&bound)->sin6_port
		                                            : ((struct sockaddr_in *)&bound)->sin_port);
	}
	freeaddrinfo(a);
	return fd;
}

int http_start(struct http **out, const struct http_options *o, struct err *e)
{
	struct http *h = mem_alloc(sizeof(*h));
	int fd = -1;

	h->o = *o;
	h->refs = 1;
	pthread_mutex_init(&h->lock, NULL);
	if (o->apart && !start_apart(h))
		err_set(e, "no second thread for large bodies: %s", strerror(errno));
	else if (microhttpd_open(&h->lib, e) == 0 && (fd = listen_on(h, e)) >= 0) {
		h->daemon = h->lib.start(
			MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle,
			h,
			MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)connections_most(h),
			MHD_OPTION_PER_IP_CONNECTION_LIMIT,
			(unsigned)(http_is_loopback(o->address) ? 0 : HTTP_PER_ADDRESS) /* 0: none */,
			MHD_OPTION_STRICT_FOR_CLIENT, is_lenient(h) ? 0 : 1,
			MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_PATIENCE,
			MHD_OPTION_NOTIFY_COMPLETED, done, h,
			MHD_OPTION_NOTIFY_CONNECTION, watch, h,
			MHD_OPTION_END);
		if (!h->daemon) {
			err_set(e, "libmicrohttpd does not start: %s", strerror(errno));
			close(fd);
		}
	}
	if (!h->daemon) {
		http_stop(h);
		return -1;
	}
	*out = h;
	return 0;
}

int http_port(const struct http *h) { return h->port; }

void http_stop(struct http *h)
{
	if (!h)
		return;
	stop_later(h);
	if (h->daemon)
		h->lib.stop(h->daemon);
	stop_apart(h);
	pthread_mutex_lock(&h->lock);
	h->refs--;
	unlock(h);
}
