/* pairs: arguments that stand one by one (call/form.h), as they grow, into the JSON of one object. */
#ifndef CALL_PAIRS_H
#define CALL_PAIRS_H

#include <jansson.h>

#include "call/form.h"

struct pairs;
/* kinds: of the values that are no JSON (grammar/schema.h), NULL: any may be; rest: what follows the last pair in the
 * form's text. Both are borrowed. */
struct pairs *pairs_new(const struct call_pairs *f, const json_t *kinds, const char *rest);
void pairs_free(struct pairs *p);

/* OVER: all of them are there; BROKEN: these are none. What is held is to be read by somebody else then. */
enum pairs_said { PAIRS_GO_ON, PAIRS_OVER, PAIRS_BROKEN };
enum pairs_said pairs_add(struct pairs *p, char c);
/* Bytes that were given and mean nothing yet. */
size_t pairs_held(const struct pairs *p);
/* What is certain so far; to be emptied. */
struct buf *pairs_json(struct pairs *p);

#endif
