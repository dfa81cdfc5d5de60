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

#include "base/buf.h"
#include "base/err.h"

/* Rules of schemas in one grammar. */
struct schema_writer;
struct schema_writer *schema_writer_new(struct buf *gbnf, struct err *e);
/* The schema's rule, by its name "r0" …, to be written in other rules; −1 and a sentence. It is borrowed until then
 */
int schema_rule(struct schema_writer *w, const json_t *schema, char name[16]);
/* Writes what all rules stand on; frees it. */
void schema_writer_end(struct schema_writer *w);

#endif
