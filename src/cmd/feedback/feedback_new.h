/* feedback_new: what is asked of people, on its way into a new file: a row's prompt, its answers, who wrote them. */
#ifndef CMD_FEEDBACK_NEW_H
#define CMD_FEEDBACK_NEW_H

#include "cmd/generate/generate_parts.h"
#include "data/rows.h"
#include "feedback/store.h"

struct draft {
	const struct row *row;
	int n;
	char *answers[FEEDBACK_ANSWERS], *models[FEEDBACK_ANSWERS]; /* mem_free; a model may be NULL */
};

/* Fills drafts up to `wanted` answers that differ, by the model: o has model, adapter, sampling and the like. One that
 * is given the same again and again keeps fewer. */
int feedback_answers(struct app *app, struct generate_command *o, struct draft *drafts, size_t n, int wanted,
                     struct err *e);

#endif
