/* template_value: what expressions of a template compute: Python's values, as far as templates see them.
 *
 * Values are small and passed by value; what they point to lives in the run's arena and dies with it. Strings are UTF-8
 * and count in characters. Inside the templates only. */
#ifndef TOKEN_TEMPLATE_VALUE_H
#define TOKEN_TEMPLATE_VALUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum vtype {
	V_UNDEFINED,
	V_NONE,
	V_BOOL,
	V_INT,
	V_FLOAT,
	V_STRING,
	V_LIST,
	V_TUPLE,
	V_DICT,
	V_NAMESPACE,
	V_MACRO,
	V_FUNCTION,
	V_METHOD
};

struct value;

/* weight: how much there is to print or compare within, at least; depth: of what is nested. Both are kept by v_push and
 * v_set. */
/* What Python has there: a generator has no length, is always true and gives its items once; the others are told apart
 * where they are printed, indexed and compared. */
enum list_kind { LIST_PLAIN, LIST_GENERATOR, LIST_RANGE, LIST_KEYS, LIST_VALUES, LIST_ITEMS };
/* spent: a generator that gave its items; opaque: Python would print the address of something within */
struct vlist {
	struct value *items;
	size_t n, cap, weight;
	int depth;
	enum list_kind kind;
	bool spent, opaque;
	bool group;                                             /* a tuple of groupby: also .grouper and .list */
};
/* in the order of insertion; slots: where there are many, a table of their places + 1 by hash, at most half full */
struct vdict {
	struct value *keys, *values;
	size_t n, cap, weight;
	uint32_t *slots;
	size_t n_slots;                                         /* a power of two */
	int depth;
	bool opaque;
};

struct macro;
struct function;
struct bound;                                                   /* a method with its object */

struct value {
	enum vtype type;
	/* a text that |safe or |escape made: what is added to it by + is escaped as HTML */
	bool safe;
	union {
		bool b;
		int64_t i;
		double f;
		struct { const char *s; size_t n; } str;
		struct vlist *list;                                     /* also of a tuple */
		struct vdict *dict;                                     /* also of a namespace */
		const struct macro *macro;
		const struct function *function;
		const struct bound *bound;
		/* of an undefined one, for the sentence; may be NULL */
		const char *name;
	};
};

#define NONE ((struct value){ .type = V_NONE })
#define UNDEFINED(what) ((struct value){ .type = V_UNDEFINED, .name = (what) })

struct value v_bool(bool b);
struct value v_int(int64_t i);
struct value v_float(double f);
struct value v_text(const char *s);                             /* not copied */
struct value v_string(struct arena *a, const char *s, size_t n); /* copied */
struct value v_take(struct arena *a, struct buf *b);            /* the buffer's text; the buffer is released */
struct value v_list(struct arena *a, enum vtype type, size_t cap);
void v_push(struct arena *a, struct value list, struct value item);
struct value v_dict(struct arena *a);
void v_set(struct arena *a, struct value dict, struct value key, struct value item);
const struct value *v_get(struct value dict, struct value key);  /* NULL */
const struct value *v_get_text(struct value dict, const char *key);
struct value v_from_json(struct arena *a, const json_t *j);

bool v_is_list(struct value v);                                 /* list or tuple, and what iterates like one */
bool v_is_plain(struct value v);                                /* list or tuple, as Python has them */
bool v_is_sequence(struct value v);                             /* a text, a plain one or a range: items by number */
bool v_hashable(struct value v);                                /* may be a key */
bool v_opaque(struct value v);                                  /* printed by Python with an address */
bool v_is_number(struct value v);                               /* bool counts, as in Python */
double v_number(struct value v);
bool v_true(struct value v);
bool v_equal(struct value a, struct value b);
int v_order(struct value a, struct value b, int *order, struct err *e); /* -1: cannot be compared */
const char *v_type_name(struct value v);                        /* "str", as Python says */
/* What iterating gives: items, keys, characters; nothing for undefined. */
int v_iterate(struct arena *a, struct value v, struct value *list, struct err *e);
size_t v_weight(struct value v);                                /* of a text: a sixteenth of its bytes, and 1 */
int v_depth(struct value v);
int v_length(struct value v, size_t *n, struct err *e);
bool v_contains(struct value whole, struct value part, bool *found); /* false: cannot be asked */

void v_print(struct buf *out, struct value v);                  /* str() */
void v_repr(struct buf *out, struct value v);
/* json.dumps. */
struct json_style {
	const char *indent;                                         /* of one level; NULL: all in one line */
	const char *between, *colon;                                /* items; a key and its value */
	bool ascii;                                                 /* other characters as \u… */
};
int v_json(struct buf *out, struct value v, const struct json_style *style, struct err *e);

/* Strings by characters. */
size_t v_chars(struct value s);
size_t v_char_at(struct value s, size_t index);                 /* byte offset of a character; at most the length */

#endif
