/* http: requests in, replies out, on one address; what is served is a function of the caller's.
 *
 * A wrapper over GNU libmicrohttpd, which is opened when it is asked for (libmicrohttpd.so.12). Of one thread: requests
 * are answered one after another, so what answers them needs no locks (but see `apart`); a reply that takes long comes
 * later, from another thread, whole or growing (http_later). Nobody else uses the library, and its traps are closed
 * here, before a request is seen by anybody:
 *
 *     Host         exactly one, of this machine with this port (none is 80's), or a name that is allowed; else 421.
 *                  So a page elsewhere whose name is pointed at this machine (DNS rebinding) reads nothing
 *     Origin       of what changes state (anything but GET and HEAD): none, or http:// and the Host (https:// of an
 *                  allowed name: a proxy's); else 403, before anybody looks who asks. No
 *                  Access-Control-Allow-Origin is ever sent
 *     admit        the caller's own door, by what stands in the head: 404, 405, 401, 403, before the body is read
 *     body         JSON of body_max bytes at most, with a Content-Length: 411, 413, 415 before it is read. At
 *                  form_path alone also multipart/form-data, of form_max bytes. DELETE without a length has none
 *                  Transfer-Encoding, and any header twice that says where a body ends, is 400 and the end of the
 *                  connection: nobody before or behind us may see another request than we do
 *     head         lines end in CR LF, none is folded, no name has a space; else 400 and the end of the connection
 *                  All bodies that are being read hold BODIES_MAX bytes at most: beyond that a connection whose body
 *                  is larger than BODY_SMALL is closed
 *     connections  at most CONNECTIONS at once, others wait; beyond loopback PER_ADDRESS of one address, more are
 *                  closed. One that brings no whole request for PATIENCE seconds is cut off, however many bytes it
 *                  dribbles; for HURRY seconds where three quarters of the places are taken
 *
 * Every reply has nosniff, no-referrer, same-origin policies, no-store, and a Content-Security-Policy. It speaks
 * HTTP, not HTTPS: beyond this machine a proxy belongs before it. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

enum { HTTP_BODY_MAX = 1 << 20, HTTP_BODIES_MAX = 256 << 20, HTTP_BODY_SMALL = 64 << 10, HTTP_CONNECTIONS = 600,
       HTTP_PER_ADDRESS = 100, HTTP_PATIENCE = 30, HTTP_HURRY = 3, HTTP_DEPTH = 64, HTTP_VALUES = 1 << 20,
       HTTP_HEADERS = 8 };

struct http_reply;

struct http_request {
	const char *method, *path;      /* without what follows a ? */
	const char *bearer;             /* after Authorization: Bearer, or NULL */
	const char *body;               /* "" of none, and before it is read */
	size_t n_body;
	const char *form;               /* Content-Type of a body that is a form (serve/multipart.h); NULL: JSON */
	struct exchange *exchange;      /* the wrapper's */
	struct apart *apart;            /* the same, of a request that is answered apart */
	/* Of a request that no connection brought: the name of its key; and who takes the reply of http_later_reply, in
	 * whose thread, instead. */
	const char *whose;
	void (*replied)(void *ctx, struct http_reply *r);
	void *replied_ctx;
};

struct http_reply {
	int status;
	const char *type;               /* "application/json"; of a constant */
	const char *policy;             /* Content-Security-Policy; NULL: nothing may be loaded */
	const char *allow;              /* methods, of a 405; or NULL */
	struct { const char *name; char value[80]; } header[HTTP_HEADERS]; /* more of them, by http_header */
	int n_headers;
	struct buf body;
};

struct http_options {
	const char *address;            /* of this machine, in numbers, or localhost */
	int port;                       /* 0: any that is free */
	const char *const *hosts;       /* [n_hosts] names beside the address, 127.0.0.1, localhost and [::1] */
	size_t n_hosts;
	int connections;                /* at once; 0: CONNECTIONS */
	double patience;                /* seconds; 0: PATIENCE */
	size_t body_max;                /* bytes of a body; 0: BODY_MAX */
	size_t bodies_max;              /* of all that are being read; 0: BODIES_MAX */
	/* Whether it may be asked; false: the reply says why not. NULL: all may. */
	bool (*admit)(void *ctx, const struct http_request *q, struct http_reply *r);
	void (*answer)(void *ctx, const struct http_request *q, struct http_reply *r);
	void *ctx;
	/* Bodies of more than BODY_SMALL are answered one after another by a second thread, so nobody waits for what a
	 * large one takes; `answer` is called by both then. */
	bool apart;
	const char *form_path;          /* where a body may be a form too, of form_max bytes at most; NULL: nowhere */
	size_t form_max;
};

struct http;
/* Answers in a thread of its own from now on. */
int http_start(struct http **out, const struct http_options *o, struct err *e);
int http_port(const struct http *h);
/* Cuts off who was too slow: to be called about once a second. */
void http_tick(struct http *h);
/* What is still to be replied to later is told so with 503; its http_later stays until it is ended. */
void http_stop(struct http *h);
/* Does only this machine reach the address? */
bool http_is_loopback(const char *address);
/* http://ADDRESS:PORT, into out; an IPv6 address in brackets. */
void http_base(const char *address, int port, char out[96]);

/* A parameter of what follows the path's ?, decoded; NULL where it is not there. */
const char *http_query(const struct http_request *q, const char *name);

/* The body, an object (no body: an empty one) nested HTTP_DEPTH deep at most, of HTTP_VALUES values, which take a
 * hundred times their bytes; NULL: the reply says what it is. */
json_t *http_json(const struct http_request *q, struct http_reply *r);

/* A reply of JSON: {"error": {"message", "code"}}. */
void http_error(struct http_reply *r, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* One more header; the name is a constant. */
void http_header(struct http_reply *r, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* --- later --- */

/* A request whose reply comes later. Each is ended once, by http_later_reply or http_later_end, from any thread, also
 * when the client has left; it is nobody's afterwards. */
struct http_later;
/* In `answer` alone, which leaves its reply as it is then. Of a request without a connection only a whole reply. */
struct http_later *http_later(const struct http_request *q);
/* The whole reply; r is released. */
void http_later_reply(struct http_later *l, struct http_reply *r);
/* Its head, once; the body follows in pieces, as they come, and ends with http_later_end. */
void http_later_begin(struct http_later *l, struct http_reply *r);
void http_later_add(struct http_later *l, const char *bytes, size_t n);
void http_later_end(struct http_later *l);
/* Whoever asked is no longer there (seen by http_tick, or when a piece could not be sent). */
bool http_later_left(struct http_later *l);

#endif
