/* http: files from servers, several at once, by libcurl, which is loaded when it is wanted (libcurl.so.4) and so need
 * not be there to build or to run anything else.
 *
 * A transfer that is cut goes on where it stopped; one that is answered with a redirect goes where it leads, and takes
 * its token along only while scheme, host and port stay the same. */
#ifndef CMD_PULL_HTTP_H
#define CMD_PULL_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

struct http;
struct transfer {
	const char *url;   /* borrowed; what is asked first */
	const char *token; /* or NULL */
	int fd;            /* where it is written, from its end on; −1: into body */
	struct buf body;
	size_t have; /* bytes that are there already */
	size_t want; /* bytes that it will have; 0: not known */
	void *owner; /* the caller's */
	/* what came of it */
	long status;   /* of the last answer; 0: none came */
	char why[160]; /* "" when all is there */
	/* the engine's */
	char *now; /* where it is asked at the moment */
	char range[32];
	struct http *engine;
	void *easy, *headers;
	int redirects, tries;
	bool answered, full;
	double after; /* not tried again before */
};

struct http *http_new(struct err *e);
void http_free(struct http *h);
/* Runs all, up to `at_once` beside each other; each looks whether it is done by t->why. tell: every so often, may be
 * NULL. −1: interrupted. */
int http_run(struct http *h, struct transfer *list, size_t n, size_t at_once, void (*tell)(void *ctx), void *ctx,
             struct err *e);

#endif
