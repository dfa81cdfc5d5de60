/* feedback_call: one call of the page: who asks, what was sent, and what all of its answers need. Inside src/serve. */
#ifndef SERVE_FEEDBACK_CALL_H
#define SERVE_FEEDBACK_CALL_H

#include <jansson.h>

#include "base/mem.h"
#include "feedback/judgement.h"
#include "serve/http.h"
#include "serve/informed.h"

/* Items of the file, kept from call to call: they never change, others come after them. */
struct shelf {
	struct arena mem;
	struct feedback_item *items;
	size_t n;
};

struct call {
	struct feedback *f;
	struct shelf *shelf;
	struct informed *informed;      /* or NULL */
	struct feedback_rater who;
	const json_t *sent;             /* an object; of a GET NULL */
	json_t *answer;                 /* what is replied with 200, an empty object at first */
	struct http_reply *reply;       /* another status: by call_refuse */
	struct arena mem;               /* of this call */
};

/* Another reply than 200; returns 0: nothing of ours went wrong. */
#define call_refuse(c, ...) (http_error((c)->reply, __VA_ARGS__), 0)

/* What the file holds now, in the call's memory. */
int call_said(struct call *c, struct said *s, struct err *e);
/* answer.progress: how far this rater is. */
int call_progress(struct call *c, const struct said *s, struct err *e);

/* An item as this rater is shown it: order[place] is the answer that stands there, −1 beyond n. */
struct turn {
	struct feedback_item item;
	int n;                          /* 0: nothing is left for him */
	int8_t order[FEEDBACK_ANSWERS];
	int64_t repeat_of;
};

/* The showing that is open, 1: there is none. */
int turn_open(struct call *c, struct turn *t, struct err *e);
/* That, or else what is next, which is open from now on. */
int turn_next(struct call *c, const struct said *s, struct turn *t, struct err *e);
/* As the page has it; null of none. */
json_t *turn_json(const struct turn *t);

/* POST /api/labels */
int call_label(struct call *c, struct err *e);

#endif
