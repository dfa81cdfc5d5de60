/* shape_messages: a conversation, [{role, content, …}], as the model's chat template writes it; what the assistant
 * says is learnt. What else the template gets of the row is data/conversation.h's. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	return maker_chat(m, json_object_get(m->row->json, "messages"), 0, e) ? 0 : -1;
}

const struct shape shape_messages = {
	.name = "messages",
	.example = "{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}, "
	           "{\"role\": \"assistant\", \"content\": \"4\"}]}",
	.columns = { { "messages", NEED_LIST } },
	.judged = JUDGED_ANSWERS,
	.make = make,
	.asks = "messages",
	.chat = CHAT_ALWAYS,
};
