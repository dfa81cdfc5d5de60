/* shape_premise_hypothesis: two texts and what they are to each other (MNLI, SNLI):
 * read as one by an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "premise", "hypothesis", e); }

const struct shape shape_premise_hypothesis = {
	.name = "premise,hypothesis,label",
	.example = "{\"premise\": \"It never stops.\", \"hypothesis\": \"It stops.\", \"label\": \"contradiction\"}",
	.columns = { { "premise", NEED_STRING }, { "hypothesis", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
