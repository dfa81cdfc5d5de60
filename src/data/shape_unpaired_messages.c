/* shape_unpaired_messages: messages and whether the last answer was good (LLaMA-Factory's kto_tag). */
#include "data/label.h"
#include "data/shape.h"

static int check(const struct row *r, struct err *e) { return label_check(r, "kto_tag", e); }

static int make(struct maker *m, struct err *e) { return label_chat(m, "messages", "kto_tag", e); }

const struct shape shape_unpaired_messages = {
	.name = "messages,kto_tag",
	.example = "{\"messages\": [{\"role\": \"user\", \"content\": \"2 + 2?\"}, "
	           "{\"role\": \"assistant\", \"content\": \"5\"}], \"kto_tag\": false}",
	.columns = { { "messages", NEED_LIST }, { "kto_tag", NEED_LABEL } },
	.roles = LABEL_ROLES,
	.check = check,
	.make = make,
	.asks = "messages",
	.chat = CHAT_ALWAYS,
};
