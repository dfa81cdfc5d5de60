/* shape_preference_openai: OpenAI's preference files: input has the messages (and tools), beside it are the answers. */
#include "data/preference.h"
#include "data/shape.h"

static json_t *ask(const json_t *row, struct err *e)
{
	json_t *messages = json_object_get(json_object_get(row, "input"), "messages");

	if (!json_is_array(messages)) {
		err_set(e, "input has no messages, a list");
		return NULL;
	}
	return json_incref(messages);
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json;
	json_t *messages = ask(row, e);
	int status = messages ? preference_make(m, messages, json_object_get(row, "preferred_output"),
	                                        json_object_get(row, "non_preferred_output"), e) :
	                        -1;

	json_decref(messages);
	return status;
}

const struct shape shape_preference_openai = {
	.name = "input,preferred_output,non_preferred_output",
	.example = "{\"input\": {\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}]}, "
	           "\"preferred_output\": [{\"role\": \"assistant\", \"content\": \"4\"}], "
	           "\"non_preferred_output\": [{\"role\": \"assistant\", \"content\": \"5\"}]}",
	.columns = { { "input", NEED_OBJECT },
	             { "preferred_output", NEED_LIST },
	             { "non_preferred_output", NEED_LIST } },
	.with = "input",
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.ask = ask,
	.chat = CHAT_ALWAYS,
};
