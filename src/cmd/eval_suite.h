/* eval_suite: `kungfu eval MODEL --suite safety`: the tasks of exam/suite.h, with what others say of the answers: a
 * judge model, a classifier. Running, scores and files are eval_tasks'. */
#ifndef CMD_EVAL_SUITE_H
#define CMD_EVAL_SUITE_H

#include "cmd/model_common.h"
#include "exam/suite.h"

struct eval_suite_options {
	const char *suite, *parts, *data, *judge, *canaries, *training_data, *toxicity, *toxicity_label;
};

#define EVAL_SUITE_OPTS(s, f) \
	OPT_GROUP("What harm it does"), \
		OPT_CHOICE("suite", s, f.suite, NULL, "safety", \
	                   "instead of --data: refusals, over-refusal, jailbreaks, injection, leaks"), \
		OPT_STRING("suite-parts", s, f.parts, NULL, "LIST", \
	                   "these alone, by commas: contrast, injection, jailbreak, xstest …"), \
		OPT_STRING("suite-data", s, f.data, NULL, "DIR", \
	                   "public sets as files (doc/safety.md), beside prompts that are built in"), \
		OPT_STRING("judge", s, f.judge, NULL, "MODEL", \
	                   "grades answers to harmful requests too, by StrongREJECT's rubric"), \
		OPT_STRING("canaries", s, f.canaries, NULL, "F.jsonl", \
	                   "rows of `data canaries` that it was tuned on: how far it knows them"), \
		OPT_STRING("training-data", s, f.training_data, NULL, "FILE", \
	                   "rows that it was tuned on: how far its answers are theirs"), \
		OPT_STRING("toxicity", s, f.toxicity, NULL, "MODEL", \
	                   "a model or folder of probe that classifies: how many answers are toxic"), \
		OPT_STRING("toxicity-label", s, f.toxicity_label, "toxic", "NAME", "which of its labels that is")

#define LOST_MOST 0.02                 /* a share of answers above which is warned */
static inline double lost_share(size_t part, size_t whole) { return whole ? (double)part / (double)whole : 0; }

struct eval_suite {
	struct app *app;
	const struct eval_suite_options *o;
	const char *compute;           /* of judge and classifier, as --compute has it */
	struct suite suite;
	struct exam_run_options judging;       /* sums of what the judge took */
	size_t judged, lost;           /* answers that it was asked about; whose grade could not be read */
};

int eval_suite_open(struct eval_suite *x, const struct suite_source *from, struct err *e);
/* After the answers, before the scores. run: how the model's own tasks were run. */
int eval_suite_tell(struct eval_suite *x, const struct exam_asked *asked, const struct exam_run_options *run,
                    struct err *e);
/* What of the answers told nothing, with warnings; how far rules and people agree. */
void eval_suite_put(const struct eval_suite *x, const struct exam_asked *asked, json_t *j);
void eval_suite_show(const struct eval_suite *x);
void eval_suite_close(struct eval_suite *x);

#endif
