/* shape_sharegpt: ShareGPT's conversations, [{from, value}], as messages (data/chat.h). */
#include "data/chat.h"
#include "data/maker.h"
#include "data/shape.h"

static json_t *ask(const json_t *row, struct err *e)
{
	return chat_from_sharegpt(json_object_get(row, "conversations"), e);
}

static int make(struct maker *m, struct err *e)
{
	json_t *messages = ask(m->row->json, e);

	if (!messages)
		return -1;
	const struct document *d = maker_chat(m, messages, 0, e);
	json_decref(messages);
	return d ? 0 : -1;
}

const struct shape shape_sharegpt = {
	.name = "conversations",
	.example = "{\"conversations\": [{\"from\": \"human\", \"value\": \"2 + 2?\"}, "
	           "{\"from\": \"gpt\", \"value\": \"4\"}]}",
	.columns = { { "conversations", NEED_LIST } },
	.judged = JUDGED_ANSWERS,
	.make = make,
	.ask = ask,
	.chat = CHAT_ALWAYS,
};
