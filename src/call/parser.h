/* parser: an answer as it grows, into what it says and what it calls.
 *
 * Text is given out when it is certain: nothing that could still be the beginning of a call or of a mark. White space
 * just before a call is none of the content. A call is told when its name is certain and its arguments begin, then its
 * arguments as they come; what begins as a call and is none is content, as it stands. Pieces may be cut anywhere: what
 * is told is the same in sum. */
#ifndef CALL_PARSER_H
#define CALL_PARSER_H

#include <jansson.h>

#include "call/form.h"

/* Any may be NULL. */
struct call_events {
	void (*text)(void *ctx, const char *text, size_t n);    /* content */
	void (*thought)(void *ctx, const char *text, size_t n); /* of a form that has thoughts apart */
	void (*call)(void *ctx, const char *name);
	void (*arguments)(void *ctx, const char *text, size_t n);
	void (*end)(void *ctx, bool whole); /* of a call; whole: its arguments are */
	void *ctx;
};

struct call_parser;
/* How the answer was asked for. */
struct call_answer {
	bool thinks;    /* the prompt ends where a thought has begun */
	bool formatted; /* calls, or a text of a format: once it is text all of it is (call_rules.format) */
	const json_t *kinds; /* by tools' names, what call_grammar gave; what calls another is text. NULL: any may be */
};
struct call_parser *call_parser_new(const struct call_form *f, const struct call_answer *a,
                                    const struct call_events *events);
void call_parser_add(struct call_parser *p, const char *text, size_t n);
/* Nothing more comes. cut: something would have (its length was over): what may have been the beginning of a call is
 * left out then, else it is content. */
void call_parser_end(struct call_parser *p, bool cut);
void call_parser_free(struct call_parser *p);

#endif
