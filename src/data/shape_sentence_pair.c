/* shape_sentence_pair: two texts and what they are to each other (MRPC, RTE, STS-B):
 * read as one by an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "sentence1", "sentence2", e); }

const struct shape shape_sentence_pair = {
	.name = "sentence1,sentence2,label",
	.example = "{\"sentence1\": \"It stops.\", \"sentence2\": \"It ends.\", \"label\": \"same\"}",
	.columns = { { "sentence1", NEED_STRING }, { "sentence2", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
