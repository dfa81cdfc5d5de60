/* schema_parts: what the files schema*.c share; nobody else includes it. */
#ifndef GRAMMAR_SCHEMA_PARTS_H
#define GRAMMAR_SCHEMA_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "grammar/schema.h"

struct known {
	const json_t *schema;
	unsigned rule;
};

struct schema_writer {
	struct buf *out;
	struct err *e;
	const json_t *root;
	json_t *made;        /* schemas that were made here, kept until the end */
	struct known *known; /* schemas with their rules, sorted by nothing: found by hash */
	uint32_t *slot;
	size_t n_known, cap_known, n_slots;
	unsigned n_rules;
	struct buf path; /* of what is being written: #/properties/a */
	int depth;
	bool python; /* true, false, null as Python has them */
};

/* −1, and the sentence with its place before it. */
int schema_refuse(const struct schema_writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A step down: of a keyword, and a name or number in it (or NULL); what it gives is where to go back to. */
size_t schema_down(struct schema_writer *w, const char *keyword, const char *name);
void schema_up(struct schema_writer *w, size_t back);

/* schema.c: the rule of a schema below this one. */
int schema_below(struct schema_writer *w, const json_t *schema, unsigned *rule);
/* A rule's begin, "r12 ::= "; another number for each. */
unsigned schema_new_rule(struct schema_writer *w);

/* As GBNF has a value's JSON in quotes. */
void schema_value(const struct schema_writer *w, const json_t *value, struct buf *out);

struct property {
	const char *name;
	const json_t *schema;
	bool required;
};
struct object {
	struct property *list; /* [n] in the order in which they are written; mem_free */
	size_t n;
	int other; /* the rule of one more pair, −1: there is none */
};
/* schema_objects.c: an object's named properties. */
int schema_properties(struct schema_writer *w, const json_t *s, struct object *o);

/* schema_merge.c: what both allow, kept by w; NULL and a sentence. */
const json_t *schema_merge(struct schema_writer *w, const json_t *a, const json_t *b);
/* Without $ref and allOf, which are merged with their siblings. */
const json_t *schema_flat(struct schema_writer *w, const json_t *schema);
const json_t *schema_target(struct schema_writer *w, const json_t *ref);
/* The schema without one key. */
const json_t *schema_without(struct schema_writer *w, const json_t *schema, const char *key);
bool schema_only_describes(const char *keyword);
/* Does it say anything? */
bool schema_says(const json_t *schema);
/* Are two choices of oneOf never both true? */
bool schema_apart(struct schema_writer *w, const json_t *a, const json_t *b);
int schema_is_of(const char *type, const json_t *value);

/* schema_values.c, schema_objects.c: the expression of a schema of one type, into out; 0, −1. */
int schema_string(struct schema_writer *w, const json_t *s, struct buf *out);
int schema_number(struct schema_writer *w, const json_t *s, bool whole, struct buf *out);
int schema_object(struct schema_writer *w, const json_t *s, struct buf *out);
int schema_array(struct schema_writer *w, const json_t *s, struct buf *out);
/* A count of a keyword: init where it is not there. */
int schema_count(const struct schema_writer *w, const json_t *s, const char *key, int64_t init, int64_t *out);

extern const char schema_base[]; /* the rules that all stand on */

#endif
