/* shape_sentence_label: a text and its label as GLUE's SST-2 and CoLA have them, for an objective that learns
 * labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "sentence", NULL, e); }

const struct shape shape_sentence_label = {
	.name = "sentence,label",
	.example = "{\"sentence\": \"It never stops in the middle.\", \"label\": \"praise\"}",
	.columns = { { "sentence", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
