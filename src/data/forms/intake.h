/* intake: statements into a file of feedback, and what a new file is asked to be by what its rows say. */
#ifndef DATA_FORMS_INTAKE_H
#define DATA_FORMS_INTAKE_H

#include "data/forms/form.h"

/* What rows hold, counted before a file is made for them. */
struct tally {
	size_t items, labels, ranked, rated, classes, corrected; /* rows that say so */
	int answers;                                             /* of an item, at most */
	double highest;                                          /* rating */
	struct arena mem;
	const char **names; /* [n_names] classes, as they came */
	size_t n_names, room;
};

int tally_take(void *ctx, const struct statement *s, struct err *e);
/* What is asked of rows like these: the study of a new file. Strings live in the tally. */
void tally_study(struct tally *t, struct feedback_study *s);
void tally_release(struct tally *t);

struct intake {
	struct feedback *f;
	const char *rater; /* whose labels are whose row names nobody */
	size_t items, same_items, labels, same_labels;
	size_t nameless; /* of the labels */
};

/* form_read's take: the item, the rater and the label; what is there already is counted. */
int intake_take(void *ctx, const struct statement *s, struct err *e);

#endif
