/* shape_unpaired_sharegpt: ShareGPT's turns and whether the last answer was good (LLaMA-Factory's kto_tag). */
#include "data/label.h"
#include "data/shape.h"

static int check(const struct row *r, struct err *e) { return label_check(r, "kto_tag", e); }

static int make(struct maker *m, struct err *e) { return label_chat(m, "conversations", "kto_tag", e); }

const struct shape shape_unpaired_sharegpt = {
	.name = "conversations,kto_tag",
	.example = "{\"conversations\": [{\"from\": \"human\", \"value\": \"2 + 2?\"}, "
	           "{\"from\": \"gpt\", \"value\": \"5\"}], \"kto_tag\": false}",
	.columns = { { "conversations", NEED_LIST }, { "kto_tag", NEED_LABEL } },
	.bare_tools = true,
	.roles = LABEL_ROLES,
	.check = check,
	.make = make,
	.asks = "conversations",
	.chat = CHAT_ALWAYS,
};
