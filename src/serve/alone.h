/* alone: what an answer would take if nobody else was answered and nothing of its prompt was kept: its prompt in steps
 * of as many tokens as the session takes, then a token a step.
 *
 * Four steps are timed at the start (infer/session.h, session_time): one row and a full step, after nothing and near
 * the end of the context. Between them a step of r rows after L tokens is interpolated, linearly in each:
 *
 *     t(r, L) = t(1, L) + (t(R, L) − t(1, L)) · (r − 1) / (R − 1),   t(·, L) = t(·, 0) + slope · L
 *
 * The interval is that of any timing that nothing was learnt about (gas/forecast.h). Adapters are in the steps as they
 * were when these were timed; of virtual tokens and guesses ahead it knows nothing. */
#ifndef SERVE_ALONE_H
#define SERVE_ALONE_H

#include "gas/economics.h"
#include "infer/session.h"

struct alone {
	int rows;                      /* R; 0: nothing was timed */
	int length;                    /* the far L */
	double one[2], full[2];        /* seconds of a step of 1 and of R rows after 0 and `length` tokens */
};

/* All sequences are to be empty. Takes about a tenth of a second. */
int alone_measure(struct alone *a, struct session *s, struct err *e);
/* Seconds of an answer of so many tokens to a prompt of so many, of which `kept` are there: another answer of the same
 * request read them. NAN where nothing was timed. */
struct span alone_seconds(const struct alone *a, size_t kept, size_t prompt, size_t made);

#endif
