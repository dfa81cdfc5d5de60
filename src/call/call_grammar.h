/* call_grammar: which answers a request with tools may have, as GBNF.
 *
 *     required    a call at once (behind a thought, where form and template have some)
 *     auto        any text, in which from a call's head on only a call goes on (of one that stands alone, from all that
 *                 is before its arguments on); behind calls only further ones
 *     format      calls at once, or a text of a format: what begins as a call does is one. Thoughts that are a part of
 *                 the content would be none of the format, so there are none
 *
 * A call's arguments are JSON of its tool's schema (grammar/schema.h), or are written one by one (schema_pairs), and of
 * any object where it has none. So a call that has begun is read by call/parser.h, and its arguments are what the
 * schema allows. A schema that cannot be written is refused. */
#ifndef CALL_CALL_GRAMMAR_H
#define CALL_CALL_GRAMMAR_H

#include <jansson.h>

#include "base/err.h"
#include "call/form.h"

struct call_tool {
	const char *name;     /* letters, digits, _ - . */
	const json_t *schema; /* of its arguments; NULL: any object */
};

struct call_rules {
	const struct call_form *form;
	const struct call_tool *tools; /* [n_tools] that may be called, at least 1 */
	size_t n_tools;
	const struct buf *format; /* GBNF of what is answered where nothing is called; NULL: any text */
	bool required, parallel; /* parallel: more than one call */
	bool thoughts;           /* a thought may come first, where the form has them */
	bool thinks;             /* the prompt ends where one has begun */
	json_t *kinds;           /* is given, for call_answer.kinds; an object, or NULL */
};

/* May it be a tool's name? */
bool call_name_valid(const char *name);
int call_grammar(const struct call_rules *r, struct buf *gbnf, struct err *e);

#endif
