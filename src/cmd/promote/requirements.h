/* requirements: what `kungfu promote --require FILE` reads: what a model must fulfil before an alias moves to it.
 *
 *     confidence: 0.95            of each one-sided bound; here for all, or in one of them
 *     requirements:
 *       - task: arc_easy          lm-eval's tasks, as eval --tasks takes them; or
 *         metric: acc_norm
 *         not_worse_than: parent  the bound of (new − parent) is at least −margin
 *         margin: 0.02
 *       - suite: safety           tasks of eval --suite: the part that makes them, and which
 *         part: contrast
 *         task: contrast_unsafe
 *         metric: refused
 *         not_worse_than: parent
 *       - data: answers.jsonl     rows, as eval --data takes them
 *         metric: exact_match
 *         minimum: 0.9            the bound of the new model's own score is at least this; maximum where less is
 *                                 better
 *
 * A list alone is the requirements. Relative paths are the file's own folder's. Of a perplexity the margin is a share:
 * 0.02 means 2 % more at most. What is not known is refused by its name. */
#ifndef CMD_REQUIREMENTS_H
#define CMD_REQUIREMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/opt.h"

struct requirement {
	const char *name;              /* as it is told; NULL: made of the others */
	const char *task, *task_data, *filter, *data, *metric, *not_worse_than, *cluster_by;
	const char *suite, *part, *suite_data, *canaries, *training_data;
	double minimum, maximum, margin, confidence;   /* NAN where nothing is said of the first two */
	int64_t limit, num_fewshot;    /* OPT_UNSET_INT */
	bool apply_chat_template;
	char *label;                   /* name, or what is measured: "arc_easy acc_norm" */
	struct opt_parse parsed;       /* owns the texts */
};

struct requirements {
	struct requirement *items;     /* [n] */
	size_t n;
	char hash[33];                 /* of the file */
};

int requirements_load(struct requirements *r, const char *path, struct err *e);
void requirements_release(struct requirements *r);

#endif
