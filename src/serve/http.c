/* http: the daemon, its connections and what is asked of every request. See http.h for what it promises. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
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
#include "serve/microhttpd.h"

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
	pthread_mutex_t lock;           /* of the list */
	struct watched *list;
};

/* A request that is being read. */
struct exchange {
	struct buf body;
	bool refused;                   /* answered already */
};

/* --- replies --- */

void http_error(struct http_reply *r, int status, const char *code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = mem_vprintf(fmt, ap);
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

static enum MHD_Result send_reply(struct http *h, struct MHD_Connection *c, struct http_reply *r, bool close)
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
		{ "Connection", close ? "close" : NULL },
	};
	struct MHD_Response *response = h->lib.response(r->body.len, (void *)buf_str(&r->body), MHD_RESPMEM_MUST_COPY);
	enum MHD_Result status = MHD_NO;

	for (size_t i = 0; response && i < ARRAY_LEN(headers); i++)
		if (headers[i].value)
			h->lib.add_header(response, headers[i].name, headers[i].value);
	if (response) {
		status = h->lib.queue(c, (unsigned)r->status, response);
		h->lib.drop(response);
	}
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

/* host is name, or name and our port. */
static bool is_host(const struct http *h, const char *host, const char *name)
{
	size_t n = strlen(name);
	char port[16];

	snprintf(port, sizeof(port), ":%d", h->port);
	return !strncasecmp(host, name, n) && (!host[n] || !strcmp(host + n, port));
}

static bool allowed_host(const struct http *h, const char *host)
{
	static const char *const always[] = { "localhost", "127.0.0.1", "[::1]" };

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (is_host(h, host, always[i]))
			return true;
	for (size_t i = 0; i < h->o.n_hosts; i++)
		if (is_host(h, host, h->o.hosts[i]))
			return true;
	return is_host(h, host, h->o.address);
}

static bool own_origin(const char *origin, const char *host)
{
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
	else if (changes(method) && origins && (origins > 1 || !own_origin(origin, host)))
		http_error(r, 403, "origin", "a page of %.100s may not change anything here", origin);
	return !r->status;
}

static bool is_json(const char *type)
{
	size_t n = strlen("application/json");

	return type && !strncasecmp(type, "application/json", n) && (!type[n] || strchr("; \t", type[n]));
}

/* What the body will be; false: the reply says what is wrong with it. */
static bool check_body(struct http *h, struct MHD_Connection *c, const char *method, struct http_reply *r)
{
	size_t lengths, codings;
	const char *length = header(h, c, "Content-Length", &lengths);
	char *end;

	header(h, c, "Transfer-Encoding", &codings);
	if (codings || lengths > 1 || (length && (!*length || strspn(length, "0123456789") != strlen(length))))
		http_error(r, 400, "length", "where a body ends is said by one Content-Length here, and nothing else");
	else if (!changes(method) && length && strtoull(length, &end, 10) > 0)
		http_error(r, 400, "body", "%s has no body here", method);
	else if (!changes(method))
		return true;
	else if (!length)
		http_error(r, 411, "length", "a Content-Length is wanted");
	else if (strlen(length) > 18 || strtoull(length, &end, 10) > HTTP_BODY_MAX)
		http_error(r, 413, "length", "a body of %.20s bytes, at most %d are read", length, HTTP_BODY_MAX);
	else if (!is_json(header(h, c, "Content-Type", NULL)))
		http_error(r, 415, "type", "a body is application/json here");
	return !r->status;
}

/* --- connections --- */

static void reset(struct http *h, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *i = h->lib.info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct watched *w = i ? i->socket_context : NULL;

	pthread_mutex_lock(&h->lock);
	if (w)
		w->since = clock_seconds();
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
	} else if (w) {
		*w->at = w->next;
		if (w->next)
			w->next->at = w->at;
		mem_free(w);
		*mine = NULL;
	}
	pthread_mutex_unlock(&h->lock);
}

void http_tick(struct http *h)
{
	double now = clock_seconds(), patience = h->o.patience > 0 ? h->o.patience : HTTP_PATIENCE;

	pthread_mutex_lock(&h->lock);
	for (struct watched *w = h->list; w; w = w->next)
		if (now - w->since > patience)
			shutdown(w->fd, SHUT_RDWR);
	pthread_mutex_unlock(&h->lock);
}

/* --- one request --- */

static const char *bearer(const char *authorization)
{
	return authorization && !strncasecmp(authorization, "Bearer ", 7) ? authorization + 7 : NULL;
}

static enum MHD_Result begin(struct http *h, struct MHD_Connection *c, const char *method, void **state)
{
	struct http_reply r = { 0 };
	struct exchange *x = mem_alloc(sizeof(*x));

	*state = x;
	if (check_caller(h, c, method, &r) && check_body(h, c, method, &r))
		return MHD_YES;
	x->refused = true;
	return send_reply(h, c, &r, true);
}

static enum MHD_Result finish(struct http *h, struct MHD_Connection *c, const char *method, const char *path,
                              struct exchange *x)
{
	struct http_request q = { method, path, bearer(header(h, c, "Authorization", NULL)), buf_str(&x->body),
		                  x->body.len };
	struct http_reply r = { 200, "application/json" };

	h->o.answer(h->o.ctx, &q, &r);
	reset(h, c);
	return send_reply(h, c, &r, false);
}

static enum MHD_Result handle(void *ctx, struct MHD_Connection *c, const char *path, const char *method,
                              const char *version, const char *data, size_t *n, void **state)
{
	struct exchange *x = *state;

	(void)version;
	if (!x)
		return begin(ctx, c, method, state);
	if (x->refused || *n == 0)
		return x->refused ? MHD_YES : finish(ctx, c, method, path, x);
	if (x->body.len + *n > HTTP_BODY_MAX)
		return MHD_NO;
	buf_add(&x->body, data, *n);
	*n = 0;
	return MHD_YES;
}

static void done(void *ctx, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *state;

	(void)ctx, (void)c, (void)why;
	if (x)
		buf_release(&x->body);
	mem_free(x);
	*state = NULL;
}

/* --- the daemon --- */

static int listen_on(struct http *h, struct err *e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)h->o.port) };
	socklen_t n = sizeof(a);
	int fd = -1, yes = 1;

	if (inet_pton(AF_INET, h->o.address, &a.sin_addr) != 1)
		return err_set(e, "%.60s is no IPv4 address", h->o.address);
	/* at once on a port that a server before us left */
	if ((fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 512) ||
	    getsockname(fd, (struct sockaddr *)&a, &n)) {
		err_set(e, "%s:%d cannot be served on: %s", h->o.address, h->o.port, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	h->port = ntohs(a.sin_port);
	return fd;
}

int http_start(struct http **out, const struct http_options *o, struct err *e)
{
	struct http *h = mem_alloc(sizeof(*h));
	int fd = -1;

	h->o = *o;
	pthread_mutex_init(&h->lock, NULL);
	if (microhttpd_open(&h->lib, e) == 0 && (fd = listen_on(h, e)) >= 0) {
		h->daemon = h->lib.start(
			MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle, h,
			MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
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
	if (h->daemon)
		h->lib.stop(h->daemon);
	pthread_mutex_destroy(&h->lock);
	mem_free(h); /* the library stays */
}
