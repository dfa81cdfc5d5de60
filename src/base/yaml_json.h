/* yaml_json: a YAML text as the JSON that PyYAML's safe loader would make of it.
 *
 * Plain scalars mean what YAML 1.1 says of them there: null, true and false in all their spellings (yes, off, …),
 * whole numbers in decimal, numbers with a point; quoted ones are texts. What else has a meaning in YAML 1.1 (dates,
 * octal, binary, sixtieths) is refused where it would be a number to PyYAML. A tag `!function NAME` gives {"!function":
 * NAME}; other tags, anchors, aliases, keys that are no texts or come twice, a second document, and more than 64 levels
 * are refused. Texts are UTF-8 and may hold no zero byte. */
#ifndef BASE_YAML_JSON_H
#define BASE_YAML_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define YAML_FUNCTION "!function"

/* New; NULL and "where line 3: …". An empty text is null. */
json_t *yaml_json(const char *text, size_t n, const char *where, struct err *e);
json_t *yaml_json_file(const char *path, struct err *e);
bool yaml_is_named(const char *path); /* .yaml, .yml */

#endif
