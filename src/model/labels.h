/* labels: what the outputs of a model that classifies stand for, by transformers' words of a config.json: num_labels,
 * id2label, label2id, problem_type.
 *
 *     single_label_classification   one label a text: the output that is the largest; softmax makes probabilities
 *     multi_label_classification    any of them, or none: those whose output is above 0; σ makes probabilities
 *     regression                    the outputs are the numbers themselves
 *
 * Where a file does not say which, one output is a regression and several are classes, as transformers takes them
 * where labels are whole numbers. */
#ifndef MODEL_LABELS_H
#define MODEL_LABELS_H

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"

enum problem { PROBLEM_SINGLE_LABEL, PROBLEM_MULTI_LABEL, PROBLEM_REGRESSION };

struct labels {
	int n;                      /* outputs */
	enum problem problem;
	const char **name;          /* [n] */
};

enum { LABELS_MOST = 1 << 16 };

const char *problem_name(enum problem p);    /* "regression" */
/* n names, LABEL_0 … where names is NULL, copied into mem. */
void labels_make(struct labels *l, struct arena *mem, int n, const char *const *names, enum problem p);
/* Of a config.json; where it names none, LABEL_0 … LABEL_(n-1). */
int labels_read(struct labels *l, struct arena *mem, const json_t *config, const char *where, struct err *e);
/* The four keys; new. */
json_t *labels_json(const struct labels *l);
/* The number of the label that has this name, or that is this number where none is called so; −1: there is none. */
int labels_find(const struct labels *l, const char *word);
/* "a, b, c": the first of them, for sentences; in mem. */
const char *labels_list(struct arena *mem, const struct labels *l);

#endif
