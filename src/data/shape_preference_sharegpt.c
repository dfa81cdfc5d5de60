/* shape_preference_sharegpt: ShareGPT's turns and two answers to them, as LLaMA-Factory ranks them. */
#include "data/preference.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;

	return preference_make(m, json_object_get(row, "conversations"), json_object_get(row, "chosen"),
	                       json_object_get(row, "rejected"), e);
}

const struct shape shape_preference_sharegpt = {
	.name = "conversations,chosen,rejected",
	.example = "{\"conversations\": [{\"from\": \"human\", \"value\": \"2 + 2?\"}], "
	           "\"chosen\": {\"from\": \"gpt\", \"value\": \"4\"}, "
	           "\"rejected\": {\"from\": \"gpt\", \"value\": \"5\"}}",
	.columns = { { "conversations", NEED_LIST }, { "chosen", NEED_TURN }, { "rejected", NEED_TURN } },
	.bare_tools = true,
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.asks = "conversations",
	.chat = CHAT_ALWAYS,
};
