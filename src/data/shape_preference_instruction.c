/* shape_preference_instruction: Alpaca's columns with two answers, as LLaMA-Factory ranks them. */
#include "data/instruction.h"
#include "data/preference.h"
#include "data/shape.h"

static int make_one(struct maker *m, const char *key, int32_t role, struct err *e)
{
	const json_t *answer = json_object_get(m->row->json, key);
	struct document *d = instruction_make(m, answer, false, e);

	if (!d)
		return err_prefix(e, "%s", key);
	return preference_mark(m, d, role, answer, e);
}

static int make(struct maker *m, struct err *e)
{
	return make_one(m, "chosen", CHOSEN, e) < 0 ? -1 : make_one(m, "rejected", REJECTED, e);
}

static const char *const more[] = { INSTRUCTION_COLUMNS, NULL };

const struct shape shape_preference_instruction = {
	.name = "instruction,chosen,rejected",
	.example = "{\"instruction\": \"Add.\", \"input\": \"2, 2\", \"chosen\": \"4\", \"rejected\": \"5\"}",
	.columns = { { "instruction", NEED_STRING }, { "chosen", NEED_STRING }, { "rejected", NEED_STRING } },
	.more = more,
	.bare_tools = true,
	.roles = PREFERENCE_ROLES,
	.judged = JUDGED_CHOICES,
	.make = make,
	.ask = instruction_turns,
	.chat = CHAT_ALWAYS,
};
