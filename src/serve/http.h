/* http: requests in, replies out, on one address; what is served is a function of the caller's.
 *
 * A wrapper over GNU libmicrohttpd, which is opened when it is asked for (libmicrohttpd.so.12). Of one thread: requests
 * are answered one after another, so what answers them needs no locks. Nobody else uses the library, and its traps are
 * closed here, before a request is seen by anybody:
 *
 *     Host         exactly one, a name that is allowed, with this port or none; else 421. So a page elsewhere whose
 *                  name is pointed at this machine (DNS rebinding) reads nothing
 *     Origin       of what changes state (anything but GET and HEAD): none, or http:// and the Host; else 403, before
 *                  anybody looks who asks. No Access-Control-Allow-Origin is ever sent
 *     body         JSON of BODY_MAX bytes at most, with a Content-Length: 411, 413, 415 before it is read.
 *                  Transfer-Encoding, and any header twice that says where a body ends, is 400 and the end of the
 *                  connection: nobody before or behind us may see another request than we do
 *     connections  at most CONNECTIONS at once, others wait. One that brings no whole request for PATIENCE seconds is
 *                  cut off, however many bytes it dribbles
 *
 * Every reply has nosniff, no-referrer, same-origin policies, no-store, and a Content-Security-Policy. It speaks
 * HTTP, not HTTPS: beyond this machine a proxy belongs before it. */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct http_request {
	const char *method, *path;      /* without what follows a ? */
	const char *bearer;             /* after Authorization: Bearer, or NULL */
	const char *body;               /* "" of none */
	size_t n_body;
};

struct http_reply {
	int status;
	const char *type;               /* "application/json"; of a constant */
	const char *policy;             /* Content-Security-Policy; NULL: nothing may be loaded */
	const char *allow;              /* methods, of a 405; or NULL */
	struct buf body;
};

struct http_options {
	const char *address;            /* an IPv4 address: "127.0.0.1" */
	int port;                       /* 0: any that is free */
	const char *const *hosts;       /* [n_hosts] names beside the address, 127.0.0.1, localhost and [::1] */
	size_t n_hosts;
	double patience;                /* seconds; 0: PATIENCE */
	void (*answer)(void *ctx, const struct http_request *q, struct http_reply *r);
	void *ctx;
};

enum { HTTP_BODY_MAX = 1 << 20, HTTP_CONNECTIONS = 600, HTTP_PATIENCE = 30 };

struct http;
/* Answers in a thread of its own from now on. */
int http_start(struct http **out, const struct http_options *o, struct err *e);
int http_port(const struct http *h);
/* Cuts off who was too slow: to be called about once a second. */
void http_tick(struct http *h);
void http_stop(struct http *h);

/* A reply of JSON: {"error": {"message", "code"}}. */
void http_error(struct http_reply *r, int status, const char *code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
