/* shape_text: a text, learnt whole. One longer than max_length becomes documents that each stand alone. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *text = json_object_get(m->row->json, "text");

	return maker_text(m, json_string_value(text), json_string_length(text), e);
}

const struct shape shape_text = {
	.name = "text",
	.example = "{\"text\": \"All of it is trained on.\"}",
	.columns = { { "text", NEED_STRING } },
	.judged = JUDGED_TEXTS,
	.make = make,
};
