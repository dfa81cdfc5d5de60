/* checks: what makes a number that looks like an identity one: check digits as its issuer computes them, ranges that
 * are given out, and how far from a word a secret is. */
#ifndef GUARD_CHECKS_H
#define GUARD_CHECKS_H

#include <stdbool.h>
#include <stddef.h>

struct check {
	const char *name;        /* in rules: check: luhn */
	/* s: what the expression matched, n bytes. */
	bool (*holds)(const char *s, size_t n);
	bool whole;              /* where it does not hold, no part of the match is looked at */
};

const struct check *check_find(const char *name); /* NULL: there is none */

#endif
