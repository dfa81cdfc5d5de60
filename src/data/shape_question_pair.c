/* shape_question_pair: two texts and what they are to each other (QQP):
 * read as one by an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "question1", "question2", e); }

const struct shape shape_question_pair = {
	.name = "question1,question2,label",
	.example = "{\"question1\": \"Does it stop?\", \"question2\": \"Will it stop?\", \"label\": \"duplicate\"}",
	.columns = { { "question1", NEED_STRING }, { "question2", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
