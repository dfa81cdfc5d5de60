/* shape_text_pair: two texts and what they are to each other (transformers' names of the two):
 * read as one by an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "text", "text_pair", e); }

const struct shape shape_text_pair = {
	.name = "text,text_pair,label",
	.example = "{\"text\": \"It stops.\", \"text_pair\": \"It ends.\", \"label\": \"same\"}",
	.columns = { { "text", NEED_STRING }, { "text_pair", NEED_STRING }, { "label", NEED_CLASS } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
