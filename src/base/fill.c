/* fill: see fill.h. */
#include "base/fill.h"

#include <string.h>

/* The hole that begins here; NULL: none does. */
static const struct hole *hole_at(const char *at, const struct hole *holes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strncmp(at, holes[i].name, strlen(holes[i].name)))
			return &holes[i];
	return NULL;
}

void fill_holes(struct buf *out, const char *form, const struct hole *holes, size_t n_holes)
{
	for (const char *at = form; *at;) {
		const struct hole *hole = hole_at(at, holes, n_holes);
		if (hole) {
			buf_add(out, hole->with, hole->n);
			at += strlen(hole->name);
		} else {
			buf_addc(out, *at++);
		}
	}
}
