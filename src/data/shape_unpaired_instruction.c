/* shape_unpaired_instruction: Alpaca's columns and whether the output was good (LLaMA-Factory's kto_tag). */
#include "data/instruction.h"
#include "data/label.h"
#include "data/shape.h"

static int check(const struct row *r, struct err *e) { return label_check(r, "kto_tag", e); }

static int make(struct maker *m, struct err *e)
{
	struct document *d = instruction_make(m, json_object_get(m->row->json, "output"), false, e);

	if (!d)
		return -1;
	d->role = label_role(m->row->json, "kto_tag");
	return 0;
}

static const char *const more[] = { INSTRUCTION_COLUMNS, NULL };

const struct shape shape_unpaired_instruction = {
	.name = "instruction,output,kto_tag",
	.example = "{\"instruction\": \"Add.\", \"input\": \"2, 2\", \"output\": \"5\", \"kto_tag\": false}",
	.columns = { { "instruction", NEED_STRING }, { "output", NEED_STRING }, { "kto_tag", NEED_LABEL } },
	.more = more,
	.bare_tools = true,
	.roles = LABEL_ROLES,
	.check = check,
	.make = make,
	.ask = instruction_turns,
	.chat = CHAT_ALWAYS,
};
