/* evaluate_parts: what the files evaluate*.c share; nobody else includes it. */
#ifndef EVAL_EVALUATE_PARTS_H
#define EVAL_EVALUATE_PARTS_H

#include "eval/evaluate.h"

struct evaluating {
	const struct subject *subject;
	const struct rows *rows;
	const struct evaluate_options *options;
	struct evaluation *result;
	double began;
};

/* log-probability of the learnt tokens of each document: the sum, and each when `each` is not NULL. Adds to the
 * result's counts. */
int evaluate_score(struct evaluating *v, const struct document *items, size_t n, double *sum, float **each,
                   struct err *e);
/* Tells what scoring these documents, and answering where f says so already, will take. Nothing when nobody wants to
 * know. */
int evaluate_planned(struct evaluating *v, const struct document *items, size_t n, struct evaluate_forecast *f,
                     struct err *e);
/* The same of a scorer that is there. */
int evaluate_planned_by(struct evaluating *v, struct scorer *s, const struct document *items,
                      const struct document *const *docs, size_t n, struct evaluate_forecast *f, struct err *e);
int evaluate_tell(const struct evaluating *v, const char *doing, int64_t done, int64_t total, double began);
/* perplexity of n documents. */
struct estimate evaluate_perplexity(const struct document *const *docs, const double *sum, size_t n);
/* A row's line of --details: its file and line; the caller adds to it and gives it to evaluate_put. */
json_t *evaluate_line(const struct document *d);
void evaluate_put(const struct evaluating *v, json_t *line);

/* What the row asks, into its line of --details where that is wanted. */
int evaluate_prompt(const struct evaluating *v, const struct row *row, json_t *line, struct err *e);
/* The documents of all rows, as training would see them; choices apart. Of other rows: nothing is said of them. */
int evaluate_documents_of(struct evaluating *v, const struct rows *rows, struct documents *d, struct err *e);
int evaluate_documents(struct evaluating *v, struct documents *d, struct err *e);

int evaluate_refuse_calibrating(const struct rows *r, struct err *e);

/* What the model's head says of documents, z: [n][labels]; adds to the result's counts. */
int evaluate_outputs(struct evaluating *v, const struct documents *d, float *z, struct err *e);
/* Rows of several answers of which some are better. */
bool evaluate_is_pairs(const struct shape *s);

/* By shape, and by what the model is. */
int evaluate_rewards(struct evaluating *v, struct err *e);
int evaluate_labels(struct evaluating *v, struct err *e);
int evaluate_choices(struct evaluating *v, struct err *e);
int evaluate_texts(struct evaluating *v, struct err *e);
int evaluate_answers(struct evaluating *v, struct err *e);

#endif
