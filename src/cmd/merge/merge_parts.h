/* merge: what its files share. cmd_merge says which of three is meant; merge_adapters makes one adapter of several,
 * merge_models one model of several, merge_effect measures what came of it on rows. */
#ifndef CMD_MERGE_PARTS_H
#define CMD_MERGE_PARTS_H

#include "adapt/combination.h"
#include "cmd/model_common.h"
#include "data/shape.h"

struct merge {
	struct common common;
	struct opt_list adapters, with, eval_data;
	const char *out, *dtype, *weights, *combination, *base, *majority, *normalize, *compute;
	double density;
	struct four_bit_options four_bit;
	int64_t svd_rank, seed;
	bool search, apply_chat_template;
	bool chosen;                   /* --combination-type was given */
};

/* "1.0,-0.5": n numbers, new; NULL and a sentence. Where none were given all are `all`. */
double *merge_weights(const struct merge *o, size_t n, double all, struct err *e);
/* What --combination-type and its numbers say. */
struct combining merge_how(const struct merge *o, const struct combination *how);

int merge_adapters(struct app *app, const struct merge *o, const char *model, struct err *e);
int merge_models(struct app *app, const struct merge *o, const char *model, struct err *e);

/* --- the effect on rows --- */

struct effect_rows {                   /* of one --eval-data */
	struct rows rows;
	const char *path;
	double *before, *after;        /* [rows.n] a row's score; NULL: not measured */
};
struct effect { struct effect_rows *of; size_t n; };
/* What one measurement of all of them takes. */
struct effect_forecast { double start_seconds, seconds, spare_seconds, flops, int_ops; size_t bytes; };

int effect_open(struct effect *x, const struct merge *o, struct err *e);
/* Each row's score into (*of)[…].before or .after. */
int effect_measure(struct effect *x, struct app *app, const struct merge *o, struct loaded *l, bool after,
                   struct err *e);
/* The same, not done but foreseen. l: the model as it will be then; with more of an adapter it may take longer. */
int effect_foresee(struct effect_forecast *f, struct effect *x, struct app *app, const struct merge *o,
                   struct loaded *l, struct err *e);
/* Adds measuring once as `before`, and then `times` as `after`, of which `spare` may not come. */
void effect_predict(struct predicted *p, const struct effect_forecast *before, const struct effect_forecast *after,
                    double times, double spare);
double effect_gain(const struct effect *x);   /* the mean over files of the mean change of a row */
/* Tells it; of the summary the list "effect", new. */
json_t *effect_report(const struct app *app, const struct effect *x);
void effect_close(struct effect *x);

#endif
