/* http: the daemon, its connections and what is asked of every request. See http.h for what it promises. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
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
#include "serve/microhttpd.h"

enum { GRACE = 1 }; /* seconds for a reply to one that has closed its side */

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

/* How deep brackets stand in brackets; strings are passed over. */
static int depth_of(const char *text, size_t n)
{
	int depth = 0, most = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (!quoted && (text[i] == '[' || text[i] == '{'))
			depth++;
		else if (!quoted && (text[i] == ']' || text[i] == '}'))
			depth--;
		most = MAX(most, depth);
	}
	return most;
}

json_t *http_json(const struct http_request *q, struct http_reply *r)
{
	struct err e = ERR_INIT;
	json_t *j = NULL;
	int depth = depth_of(q->body, q->n_body);

	if (!q->n_body)
		return json_object();
	if (depth > HTTP_DEPTH)
		err_set(&e, "the body is nested %d deep, at most %d are read", depth, HTTP_DEPTH);
	else if ((j = jsonx_load(q->body, q->n_body, "the body", &e)) && !json_is_object(j))
		err_set(&e, "the body is no JSON object");
	if (!*e.msg)
		return j;
	http_error(r, 400, "json", "%s", e.msg);
	json_decref(j);
	return NULL;
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
		{ "WWW-Authenticate", r->status == 401 ? "Bearer" : NULL },
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

static bool is_json(const char *type)
{
	size_t n = strlen("application/json");

	return type && !strncasecmp(type, "application/json", n) && (!type[n] || strchr("; \t", type[n]));
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

/* Is the body one that is read; false: the reply says what is wrong with it. */
static bool check_body(struct http *h, struct MHD_Connection *c, const char *method, struct http_reply *r)
{
	const char *length = header(h, c, "Content-Length", NULL);

	if (!changes(method))
		return true;
	if (!length)
		http_error(r, 411, "length", "a Content-Length is wanted");
	else if (strlen(length) > 18 || strtoull(length, NULL, 10) > HTTP_BODY_MAX)
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

/* Nothing more will come of it: the library (0.9.75) may not notice that the other side has gone. */
static bool is_gone(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

void http_tick(struct http *h)
{
	double now = clock_seconds(), patience = h->o.patience > 0 ? h->o.patience : HTTP_PATIENCE;

	pthread_mutex_lock(&h->lock);
	for (struct watched *w = h->list; w; w = w->next)
		if (now - w->since > patience || (now - w->since > GRACE && is_gone(w->fd)))
			shutdown(w->fd, SHUT_RDWR);
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
	struct http_request q = { method, path, bearer(header(h, c, "Authorization", NULL)), "" };
	struct http_reply r = { .type = "application/json" };
	struct exchange *x = mem_alloc(sizeof(*x));

	*state = x;
	if (check_lines(h, c, version, &r) && check_caller(h, c, method, &r) && check_end(h, c, method, &r) &&
	    (!h->o.admit || h->o.admit(h->o.ctx, &q, &r)) && check_body(h, c, method, &r))
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

	if (!x)
		return begin(ctx, c, method, path, version, state);
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
	pthread_mutex_init(&h->lock, NULL);
	if (microhttpd_open(&h->lib, e) == 0 && (fd = listen_on(h, e)) >= 0) {
		h->daemon = h->lib.start(
			MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle, h,
			MHD_OPTION_LISTEN_SOCKET, (MHD_socket)fd,
			MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS,
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
	if (h->daemon)
		h->lib.stop(h->daemon);
	pthread_mutex_destroy(&h->lock);
	mem_free(h); /* the library stays */
}
