/* form: how a model's chat template has calls of tools written. One form is one file, form_x.c, found by its name.
 *
 * An answer is text in which, by one of the form's styles, calls stand:
 *
 *     open call (between call)* close
 *
 * These are texts in which %n is a tool's name, %a its arguments (a JSON object, or one by one), %i a number, %_ a
 * space, and a space white space or none; all else is itself. One description says what is allowed
 * (call/call_grammar.h) and how it is read (call/parser.h), so what was allowed is always read. A call begins where
 * the answer has the style's head: all before the first of what is not itself.
 *
 * Which form a template has is told by its own text. */
#ifndef CALL_FORM_H
#define CALL_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct call_style {
	const char *open, *call, *between, *close;
	bool alone; /* only what the answer begins with is a call */
};

/* Arguments that are written one by one, with `between` between two:
 *
 *     key NAME behind VALUE close
 *
 * A value that is to be a text stands as it is, all else is JSON (grammar/schema.h says which is which). python: values
 * are as Python writes them, texts in quotes, and end with `,` or `)`. */
struct call_pairs {
	const char *key, *behind, *close, *between;
	bool python;
};

struct call_form {
	const char *name, *summary;
	const struct call_pairs *pairs; /* NULL: arguments are a JSON object */
	const char *const *has,
		*const *lacks;           /* texts that such a template has all, and has none of; NULL after them */
	const struct call_style *styles; /* { 0 } after them */
	bool single;                     /* an answer has one call at most */
	const char *const *silent; /* texts that only part an answer, and are no part of its content; NULL: none */
	/* What the model thinks before it answers stands between these: apart, or (kept) a part of the content as it is
	 * written. NULL: it does not think. */
	const char *thought, *thought_end;
	bool kept;
	const char *lead; /* text of the prompt's end that an answer's first style begins with, or NULL */
};

enum { CALL_SPACES = 20 }; /* of white space in one place of a call that may be text as well */

extern const struct call_form *const call_form_table[]; /* NULL after them */

/* NULL: none is known that has this template's text. */
const struct call_form *call_form_of(const char *template_);
const struct call_form *call_form_by_name(const char *name); /* NULL */
/* All that the form writes, by lines: special tokens whose texts stand in it are part of an answer's text. */
void call_form_marks(const struct call_form *f, struct buf *out);
/* The head of a style into out; of one that is alone all up to the name, spaces as they stand there. How many bytes of
 * open and call it is. */
size_t call_style_head(const struct call_style *s, struct buf *out);

#endif
