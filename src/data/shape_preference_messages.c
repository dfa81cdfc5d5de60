/* shape_preference_messages: messages and two answers to them. */
#include "data/preference.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;

	return preference_make(m, json_object_get(row, "messages"), json_object_get(row, "chosen"),
	                       json_object_get(row, "rejected"), e);
}

const struct shape shape_preference_messages = {
	.name = "messages,chosen,rejected",
	.example = "{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}], "
	           "\"chosen\": {\"role\": \"assistant\", \"content\": \"4\"}, "
	           "\"rejected\": {\"role\": \"assistant\", \"content\": \"5\"}}",
	.columns = { { "messages", NEED_LIST }, { "chosen", NEED_TURN }, { "rejected", NEED_TURN } },
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.asks = "messages",
	.chat = CHAT_ALWAYS,
};
