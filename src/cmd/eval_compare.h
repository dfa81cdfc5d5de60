/* eval_compare: `kungfu eval --compare A B`: two folders of --log-samples, sample by sample. */
#ifndef CMD_EVAL_COMPARE_H
#define CMD_EVAL_COMPARE_H

#include "cmd/command.h"

/* a, b: folders (or their parents), or files samples_TASK_TIME.jsonl; cluster_by: a column of the rows, or NULL. */
int eval_compare(struct app *app, const char *a, const char *b, const char *cluster_by, struct err *e);

/* Rows that both sides answered, of one task and filter: {metric: number, …} each. */
struct eval_pairs {
	const json_t **a, **b;         /* [n] */
	size_t *cluster;               /* [n], or NULL */
	size_t n, of;                  /* of how many there are at most */
};

/* A metric that both have: told, and put under "METRIC,FILTER". */
void eval_contest(const struct app *app, const struct eval_pairs *p, const char *metric, const char *filter,
                  json_t *out);
/* Is it decided by now? */
bool eval_decided(const struct eval_pairs *p, const char *metric);
/* A row's cluster: by what it has there, numbered as they come, which `seen` (an object) remembers. */
int eval_cluster(json_t *seen, const json_t *doc, const char *column, size_t *out, struct err *e);

#endif
