/* shape_question_context: two texts and what they are to each other (questions and where they may be answered):
 * read as one by an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "question", "context", e); }

const struct shape shape_question_context = {
	.name = "question,context,label",
	.example = "{\"question\": \"Does it stop?\", \"context\": \"It never stops.\", \"label\": \"answered\"}",
	.columns = { { "question", NEED_STRING }, { "context", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
