/* multipart: a body of multipart/form-data (RFC 7578), as browsers and OpenAI's clients upload files in it.
 *
 * Read are parts with a Content-Disposition of form-data and a name; MULTIPART_PARTS at most. What stands before the
 * first part, parts without an end, a boundary that is none are refused. */
#ifndef SERVE_MULTIPART_H
#define SERVE_MULTIPART_H

#include "base/arena.h"
#include "base/err.h"

enum { MULTIPART_PARTS = 16 };

struct multipart_part {
	const char *name, *filename;    /* filename NULL: it is no file's */
	const char *data;               /* [n] in the body */
	size_t n;
};

struct multipart {
	struct arena mem;
	struct multipart_part part[MULTIPART_PARTS];
	size_t n;
};

/* type: the request's Content-Type, with the boundary. The body is borrowed; f is to be released either way. */
int multipart_read(struct multipart *f, const char *type, const char *body, size_t n, struct err *e);
const struct multipart_part *multipart_find(const struct multipart *f, const char *name); /* NULL: there is none */
void multipart_release(struct multipart *f);

#endif
