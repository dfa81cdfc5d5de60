/* shape_instruction: instruction, output, and input, system and history where they are there (data/instruction.h). The
 * answers of history are learnt too, as LLaMA-Factory does. */
#include "data/instruction.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	return instruction_make(m, json_object_get(m->row->json, "output"), true, e) ? 0 : -1;
}

static const char *const more[] = { INSTRUCTION_COLUMNS, NULL };

const struct shape shape_instruction = {
	.name = "instruction,output",
	.example = "{\"instruction\": \"Add.\", \"input\": \"2, 2\", \"output\": \"4\"}",
	.columns = { { "instruction", NEED_STRING }, { "output", NEED_STRING } },
	.more = more,
	.bare_tools = true,
	.judged = JUDGED_ANSWERS,
	.make = make,
	.ask = instruction_turns,
	.answers = "output",
	.chat = CHAT_ALWAYS,
};
