/* probing: a folder with a learner (learn/learner.h) as a model that classifies: the model that it reads features of is
 * opened where there is one. learner.json has beside its own keys those of PEFT's kind: base_model_name_or_path,
 * adapter, and how rows are asked: pooling, apply_chat_template, max_length. */
#ifndef CMD_PROBING_H
#define CMD_PROBING_H

#include "cmd/model_common.h"
#include "eval/evaluate.h"
#include "learn/answers.h"
#include "learn/frozen.h"

extern const char *const feature_pooling_names[];      /* "last", "mean" */

struct probing {
	struct learner learner;
	struct loaded l;
	bool has_model;
	struct frozen_options how;
	struct frozen frozen;          /* once rows are there */
};

/* The keys for learner_save. adapter may be NULL; new. */
json_t *probing_facts(const char *model, const char *adapter, const struct frozen_options *how);
/* compute as --compute has it. Closed by the caller, after an error too. */
int probing_open(struct probing *p, struct app *app, const char *dir, const char *compute, struct err *e);
/* The rows' documents; of a learner without a model nothing. */
int probing_rows(struct probing *p, struct app *app, const struct rows *r, int32_t micro_batch_tokens, struct err *e);
/* What planned says of it. seconds: of what comes after the pass, called `after`. */
int probing_planned(struct app *app, const struct loaded *l, const struct frozen *f, const char *command,
                    size_t bytes, const char *after, double seconds, struct err *e);
/* z[n][labels] of the rows. text: what they ask (answers.h). */
int probing_outputs(struct probing *p, struct app *app, const struct examples *x, float *z, struct err *e);
void probing_close(struct probing *p);

/* The plan of a command that uses it on n rows, "classify" say. */
int probing_planned_use(struct probing *p, struct app *app, const char *command, double writing, struct err *e);
/* Rows with answers judged, as evaluate does it of a model that classifies; `detail` as evaluate_options has it. The
 * caller releases v. */
struct probing_eval {
	int32_t micro_batch_tokens;
	const struct rows *rows;
	void (*detail)(void *ctx, json_t *line);       /* or NULL */
	void *ctx;
};
int probing_evaluate(struct probing *p, struct app *app, const struct probing_eval *o, struct evaluation *v,
                     struct err *e);

/* Features of rows, with a line of progress; [n][n_layers][C], mem_free. */
int probing_features(float **out, struct frozen *f, size_t n_layers, struct err *e);

#endif
