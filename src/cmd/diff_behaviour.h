/* diff_behaviour: `kungfu diff BASE RUN --behaviour`: what a tuned model says that its base would not, and what makes
 * it say so (eval/behaviour.h). */
#ifndef CMD_DIFF_BEHAVIOUR_H
#define CMD_DIFF_BEHAVIOUR_H

#include "cmd/model_common.h"

struct behaviour_cmd {
	bool wanted;
	const char *prompts, *compute;
	int64_t length, seed;
};

#define BEHAVIOUR_OPTS(s, f) \
	OPT_GROUP("What a model says that its base would not"), \
		OPT_FLAG("behaviour", s, f.wanted, "false", \
	                 "BASE is a model, RUN an adapter, run or model made from it: searches for triggers"), \
		OPT_STRING("prompts", s, f.prompts, NULL, "FILE", \
	                   "rows with a `prompt`, behind which triggers are tried (default: 24 of ours)"), \
		OPT_INT("trigger-length", s, f.length, "5", 1, 6, "tokens of a trigger, at most"), \
		OPT_INT("seed", s, f.seed, "42", 0, 9007199254740991.0, "of the tokens to compare with"), \
		COMPUTE_OPT(s, f.compute, "auto")

int diff_behaviour(struct app *app, const struct behaviour_cmd *o, const char *base, const char *run, struct err *e);

#endif
