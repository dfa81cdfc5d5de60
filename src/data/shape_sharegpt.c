/* shape_sharegpt: ShareGPT's conversations, [{from, value}], as LLaMA-Factory reads them (data/conversation.h). */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	return maker_chat(m, json_object_get(m->row->json, "conversations"), 0, e) ? 0 : -1;
}

const struct shape shape_sharegpt = {
	.name = "conversations",
	.example = "{\"conversations\": [{\"from\": \"human\", \"value\": \"2 + 2?\"}, "
	           "{\"from\": \"gpt\", \"value\": \"4\"}]}",
	.columns = { { "conversations", NEED_LIST } },
	.bare_tools = true,
	.judged = JUDGED_ANSWERS,
	.make = make,
	.asks = "conversations",
	.chat = CHAT_ALWAYS,
};
