/* template_run: what the interpreter's files share: a run, calls and their arguments, and the tables of methods,
 * filters, tests and functions.
 *
 * All memory is of the run's arena, texts that are being written too (RUN_TEXT): its limit holds whatever a builtin
 * does, and where it is reached the run ends there and then.
 *
 * After a mistake run->failed is set, e holds the sentence, and every value is undefined; callers go on and look
 * once. */
#ifndef TOKEN_TEMPLATE_RUN_H
#define TOKEN_TEMPLATE_RUN_H

#include "template/template_ast.h"

struct run_state {
	struct arena mem;
	struct buf *out;             /* what is printed goes here */
	int line;                    /* of the statement that runs */
	long steps;
	uint64_t drawn;              /* times that random was asked */
	int depth;
	bool failed;
	bool strict;                 /* what is undefined may be asked for by `is defined` and default alone */
	struct err *e;
};

struct call {
	struct run_state *r;
	struct value self;           /* of a method or filter: its object; of a test: what is tested */
	struct value *args;          /* by position */
	size_t n;
	const char **names;          /* by name */
	struct value *named;
	size_t n_named;
};

/* No text may be longer. */
enum { RUN_TEXT_MAX = 64 << 20 };
/* Nor may a run take more steps, or a run or a parsed template hold more bytes; tests set less. */
extern long template_steps_max;
extern size_t template_memory_max;
#define RUN_TEXT(r) { .max = RUN_TEXT_MAX, .arena = &(r)->mem }

/* Counts n steps more; false after a mistake, which too many steps are. */
bool run_steps(struct run_state *r, size_t n);
/* Counts what comparing within these costs. */
bool run_charge(struct run_state *r, struct value a, struct value b);
struct value run_fail(struct run_state *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool call_fits(const struct call *c, const struct function *f);  /* false after a mistake */
/* Argument i, or the one with this name, or the default. */
struct value call_arg(const struct call *c, size_t i, const char *name, struct value init);

/* One more by name, for which names and named have *cap places; there is room for one more after it, which is a block's
 * caller. Twice the same is a mistake. */
void call_add_named(struct call *c, const char *name, struct value v, size_t *cap);
/* All of a dict: **v. */
void call_add_dict(struct call *c, struct value v, size_t *cap);

#define ATTRIBUTE "="
#define CHANGES "!"

/* What Python or Jinja has and we have not is a row too, with no call: it is there, and using it is refused by name. */
struct function {
	const char *name;
	struct value (*call)(const struct call *c);
	const char *takes;           /* its arguments: see template_args; NULL: none; ATTRIBUTE: a value, no method;
	                             * CHANGES: a method that would change its object: undefined, in the sandbox that
	                             * templates run in elsewhere too */
};
struct bound { struct value self; const struct function *method; };

const struct function *template_method(struct value self, const char *name);  /* NULL */
const struct function *template_global(const char *name);
const struct function *template_filter(const char *name);
const struct function *template_test(const char *name);                        /* gives a bool */
/* of texts and lists of functions: NULL where none has this name */
const struct function *run_look_up(const struct function *table, size_t n, const char *name);

/* Calls a filter or test by name on a value, with the arguments of c after the first `skip`; for map, select and their
 * kin. */
struct value run_filter(const struct call *c, const char *name, struct value self, size_t skip);
bool run_test(const struct call *c, const char *name, struct value self, size_t skip);
struct value run_attribute(struct run_state *r, struct value object, const char *name);  /* a.name */
struct value run_item(struct run_state *r, struct value object, struct value key);       /* a[key] */
/* bound; undefined where there is none */
struct value run_method(struct run_state *r, struct value object, const char *name);
struct value run_text(struct run_state *r, struct value v);                              /* str(v) */
/* str(v) behind what out has; a mistake where Python would print an address */
void run_print(struct run_state *r, struct buf *out, struct value v);
/* as v_take; a mistake where the buffer overflowed */
struct value run_take(struct run_state *r, struct buf *text);
/* as HTML, unless it is safe; the result is */
struct value run_escaped(struct run_state *r, struct value text);

/* a op b: arithmetic, ~; and comparisons, in. */
struct value run_binary(struct run_state *r, const char *op, struct value a, struct value b);
bool run_holds(struct run_state *r, const char *op, struct value a, struct value b);
struct value run_undefined(struct run_state *r, struct value v);                         /* the mistake of using it */


#endif
