/* schema: a JSON Schema as GBNF: its texts are JSON values that the schema allows, in a common way to write them (a
 * space or a line end with at most 20 spaces behind brackets, commas and colons; whole numbers of 16 digits, exponents
 * of 2).
 *
 * Understood: true and {}; type; enum, const; properties, required, additionalProperties, maxProperties of maps; items,
 * prefixItems (draft 7's list of items too), minItems, maxItems; minLength, maxLength; pattern (grammar.h's regular
 * expressions, found anywhere unless ^ and $ hold it); format date, time, date-time, duration, uuid, email, hostname,
 * ipv4, ipv6, uri; minimum, maximum, exclusiveMinimum, exclusiveMaximum of integers, and of numbers where they are
 * whole; anyOf; oneOf whose choices a type or a constant property tells apart; allOf, and siblings of $ref, anyOf and
 * oneOf, where they merge; $ref to a place of the same schema, also one within itself. What only describes says
 * nothing.
 *
 * Narrower than the schema, so that what comes out is always allowed by it: properties come in the order in which they
 * stand, those that are not named only where additionalProperties says so or nothing is named; additional names have no
 * escapes; items behind prefixItems only where `items` is there; without a type, that which the keywords are of. Names
 * that are additional may come twice.
 *
 * Refused by name and place: every other keyword, and what has no value. */
#ifndef GRAMMAR_SCHEMA_H
#define GRAMMAR_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

/* Rules of schemas in one grammar. */
struct schema_writer;
struct schema_writer *schema_writer_new(struct buf *gbnf, struct err *e);
/* The schema's rule, by its name "r0" …, to be written in other rules; −1 and a sentence. It is borrowed until then
 */
int schema_rule(struct schema_writer *w, const json_t *schema, char name[16]);
/* From now on true, false and null are as Python has them. */
void schema_writer_python(struct schema_writer *w);

/* How an object's properties are written one by one, each as key NAME behind VALUE close, with `between` between two:
 * all GBNF. end: where a text ends that stands as it is (the beginning of close); NULL: every value is JSON.
 *
 * Texts that stand as they are: what may only be a string (maybe of a format, of values, of a length: then without the
 * first character of `end`), or such a string or null; and what may be anything. All else is JSON: strings with a
 * pattern, and those beside other kinds, have quotes. Written are the named properties, in their order; names that are
 * not known only where no property is named. */
struct schema_pairs {
	const char *key, *behind, *close, *between;
	const char *end;
	bool identifiers; /* names are those of variables */
};
/* The rule of an object's properties (of a schema, NULL: any). kinds, an object, is given for each name that is no JSON
 * ("*": every name) "text", "text?" (or null) or "any", and for any object none. −1: it cannot be written so. */
int schema_pairs(struct schema_writer *w, const json_t *schema, const struct schema_pairs *p, json_t *kinds,
                 char name[16]);

/* Writes what all rules stand on; frees it. */
void schema_writer_end(struct schema_writer *w);

#endif
