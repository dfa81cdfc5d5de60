/* message_parts: the messages of LLaMA-Factory's newer files (its data version 1), whose content is a list of parts
 * {type, value}: texts, which stand behind each other, reasoning, and tool_call, {name, arguments} as JSON text. */
#ifndef DATA_MESSAGE_PARTS_H
#define DATA_MESSAGE_PARTS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* Has its content a part with a value? */
bool message_has_values(const json_t *message);
/* {role, content, reasoning_content, tool_calls, …}, new; NULL and a sentence. */
json_t *message_from_values(const json_t *message, struct err *e);

#endif
