/* shape_text_label: a text and its label, a class or a number. For an objective that learns labels it is one document,
 * whose last token stands for it; for any other the text alone, learnt whole. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e)
{
	const json_t *text = json_object_get(m->row->json, "text");

	if (!m->o->labelled)
		return maker_text(m, json_string_value(text), json_string_length(text), e);
	return maker_pair(m, "text", NULL, e);
}

const struct shape shape_text_label = {
	.name = "text,label",
	.example = "{\"text\": \"It never stops in the middle.\", \"label\": \"praise\"}",
	.columns = { { "text", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.judged = JUDGED_TEXTS,
	.make = make,
};
