/* regex_need: what a text must have for an expression to match somewhere in it, cheap to look for: of each of a few
 * lists one string (capitals and small letters alike), and so many bytes of a kind, in all and beside each other. */
#ifndef GUARD_REGEX_NEED_H
#define GUARD_REGEX_NEED_H

#include "guard/regex_parts.h"

enum { NEED_LISTS = 3 /* of an expression */, NEED_KINDS = 8 };

struct strings { const char **s; size_t n; };

/* Bytes of a kind: how many a match has at least, and how many beside each other. */
struct amounts { uint32_t count[NEED_KINDS], run[NEED_KINDS]; };

struct need {
	struct strings list[NEED_LISTS + 1]; /* [n] of each one string, small letters; a last one may be another's */
	size_t n;
	struct amounts least;
};

/* Strings live in mem. */
void regex_need(struct need *n, struct arena *mem, const struct tree *t);

/* Of each byte the kinds that it is of, a bit each: digits alone, with a to f, with letters, with these and what keys
 * are written in (and with the dot), with what telephones and addresses of machines are written in, with capitals. */
extern const uint8_t need_kinds[256];

#endif
