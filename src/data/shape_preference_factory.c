/* shape_preference_factory: two whole conversations by the names of LLaMA-Factory's newer files; what they begin with
 * alike is their prompt. */
#include "data/preference.h"
#include "data/shape.h"

static const json_t *conversation(const json_t *row, int32_t role)
{
	return json_object_get(row, role == CHOSEN ? "chosen_messages" : "rejected_messages");
}

static json_t *ask(const json_t *row, struct err *e)
{
	return preference_ask(conversation(row, CHOSEN), conversation(row, REJECTED), e);
}

static int make(struct maker *m, struct err *e)
{
	return preference_make_whole(m, conversation(m->row->json, CHOSEN), conversation(m->row->json, REJECTED), e);
}

const struct shape shape_preference_factory = {
	.name = "chosen_messages,rejected_messages",
	.example = "{\"chosen_messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}, "
	           "{\"role\": \"assistant\", \"content\": \"4\"}], "
	           "\"rejected_messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}, "
	           "{\"role\": \"assistant\", \"content\": \"5\"}]}",
	.columns = { { "chosen_messages", NEED_LIST }, { "rejected_messages", NEED_LIST } },
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.ask = ask,
	.chat = CHAT_ALWAYS,
};
