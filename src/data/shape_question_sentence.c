/* shape_question_sentence: two texts and what they are to each other (QNLI):
 * read as one by an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "question", "sentence", e); }

const struct shape shape_question_sentence = {
	.name = "question,sentence,label",
	.example = "{\"question\": \"Does it stop?\", \"sentence\": \"It never stops.\", \"label\": \"entailment\"}",
	.columns = { { "question", NEED_STRING }, { "sentence", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
