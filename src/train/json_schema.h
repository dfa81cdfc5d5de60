/* json_schema: whether a value is one that a JSON Schema allows (draft 2020-12, the part that says what a value is).
 *
 * Understood: true and false, type (one or a list), enum, const, properties, required, additionalProperties, items,
 * prefixItems, minItems, maxItems, uniqueItems, minLength, maxLength (code points), pattern (POSIX, extended), minimum,
 * maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, minProperties, maxProperties, anyOf, allOf, oneOf, not.
 * What only describes (title, description, default, examples, $schema, $id, $comment, format) says nothing. Any other
 * keyword ($ref, if, …) refuses the schema, by its name. */
#ifndef TRAIN_JSON_SCHEMA_H
#define TRAIN_JSON_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct json_schema;

int json_schema_open(struct json_schema **out, const char *path, struct err *e);
void json_schema_close(struct json_schema *s);
bool json_schema_allows(const struct json_schema *s, const json_t *value);
/* A text that is one JSON value of any kind, spaces around it left out; NULL: it is none. New. */
json_t *json_schema_read(const char *text, struct err *e);

#endif
