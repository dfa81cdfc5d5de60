/* eval_compare: `kungfu eval --compare A B`: two folders of --log-samples, sample by sample. */
#ifndef CMD_EVAL_COMPARE_H
#define CMD_EVAL_COMPARE_H

#include "cmd/command.h"

/* a, b: folders (or their parents), or files samples_TASK_TIME.jsonl; cluster_by: a column of the rows, or NULL. */
int eval_compare(struct app *app, const char *a, const char *b, const char *cluster_by, struct err *e);

#endif
