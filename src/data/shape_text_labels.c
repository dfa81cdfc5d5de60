/* shape_text_labels: a text and its labels, of which it may have several or none: their names, or a 0 or 1 for each
 * label that there is, for an objective that learns labels. */
#include "data/maker.h"
#include "data/shape.h"

static int make(struct maker *m, struct err *e) { return maker_pair(m, "text", NULL, e); }

const struct shape shape_text_labels = {
	.name = "text,labels",
	.example = "{\"text\": \"It never stops in the middle.\", \"labels\": [\"praise\", \"speed\"]}",
	.columns = { { "text", NEED_STRING }, { "labels", NEED_LIST } },
	.labelled = true,
	.label_only = true,
	.make = make,
};
