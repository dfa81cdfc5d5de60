/* conversation: what a chat template is given of a row: its messages as transformers has them, and what stands beside
 * them. One place for the forms that others write:
 *
 *     TRL, transformers   messages {role, content, tool_calls, …}; tools; chat_template_kwargs: variables by name
 *     LLaMA-Factory       turns {from: human, gpt, observation, function_call or system; value}; system; tools;
 *                         parts {type, value} (data/message_parts.h), loss_weight
 *     OpenAI              functions, function_call; parallel_tool_calls; weight of an answer, 0 or 1
 *
 * `system` becomes the first turn where the messages have none of their own. tools, chat_template_kwargs are a list
 * and an object, or that as JSON text; an empty list of tools is none. In rows of LLaMA-Factory's shapes and in
 * `functions` a bare {name, parameters} becomes {type: function, function: …}, as LLaMA-Factory has it. An answer
 * with weight or loss_weight 0 (or train: false) is not trained on. What a message has beside that goes to the template
 * as it is. */
#ifndef DATA_CONVERSATION_H
#define DATA_CONVERSATION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct shape;

struct conversation {
	json_t *messages;           /* [{role, content, …}] */
	json_t *tools;              /* a list, or NULL */
	json_t *more;               /* further variables of the template, or NULL */
	size_t first;               /* answers before it are not learnt */
	bool owns_system;           /* the messages have a system's turn, so the column's is not read */
};

/* Columns that a conversation takes beside its messages: "tools", …, until NULL. */
extern const char *const conversation_columns[];
bool conversation_takes(const char *key);
/* with: the object whose columns stand beside the messages; s may be NULL. The sentence needs no place. To be
 * released. */
int conversation_make(struct conversation *c, const struct shape *s, const json_t *with, const json_t *messages,
                      size_t first, struct err *e);
void conversation_release(struct conversation *c);

/* Messages in any of those forms as [{role, content, …}], new; one alone (an object) as a list. NULL and a
 * sentence. */
json_t *messages_from(const json_t *list, struct err *e);
/* Is an answer trained on, or has it weight 0? */
bool message_is_trained_on(const json_t *message);
bool message_weighs(const char *key);            /* is this the key of such a weight? */
bool message_is_assistant(const json_t *message);
const char *message_role(const json_t *message); /* "" where there is none */

#endif
