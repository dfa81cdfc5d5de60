/* adapted_options: what `kungfu adapt` left, as options of a command that takes it where it takes a model: what stands
 * before each row, documents, how choices are calibrated, and how its rows were asked. */
#ifndef CMD_ADAPTED_OPTIONS_H
#define CMD_ADAPTED_OPTIONS_H

#include "cmd/in_context.h"
#include "cmd/index/sources_options.h"

struct adapted_options {
	char *prompt;                  /* what the options borrow */
	json_t *documents;
	bool texts;                    /* its rows were asked as texts, without the model's chat template */
	bool turns;                    /* choices were asked as the user's turns (--apply-chat-template) */
};

/* Where a place is NULL the command has no such option: documents that would stand there are refused, the others left
 * out. Nothing where path is no artefact. −1: it cannot be read, or options name what it has itself. */
struct adapted_places {
	struct in_context_options *context;
	struct sources_options *documents;
	const char **calibrate;
};
int adapted_options_take(struct adapted_options *x, const char *path, const struct adapted_places *to, struct err *e);
void adapted_options_release(struct adapted_options *x);

#endif
