/* learner: what answers rows with a label, or a number, and is fitted in seconds: the floor that everything else has to
 * be better than, and what is learnt from a frozen model's states.
 *
 *     majority   how often each label came; of numbers their mean
 *     tfidf      words of the text (tfidf.h), then logistic regression, or ridge of numbers (linear.h)
 *     knn        how the nearest rows are labelled, by the cosine of the features (knn.h); of numbers their mean
 *     probe      logistic regression, or ridge, on the features
 *
 * Features are a model's states (infer/features.h) of some layers, each number less its mean over the rows and divided
 * by its deviation. Layer, C (what the penalty is divided by) and k are those that are best in cross-validation where
 * they are not given: by accuracy, of equals by the loss; of numbers by the mean square. From cross-validation, that is
 * of rows that the fit has not seen, also come `held` and the temperature (temperature.h), by which softmax of the
 * outputs are probabilities. Everything follows from rows, options and seed, whatever the threads.
 *
 * Outputs are those of a model that classifies (model/labels.h), one a label, of numbers one. */
#ifndef LEARN_LEARNER_H
#define LEARN_LEARNER_H

#include "base/err.h"
#include "learn/linear.h"
#include "learn/tfidf.h"
#include "model/labels.h"

enum learner_kind { LEARNER_MAJORITY, LEARNER_TFIDF, LEARNER_KNN, LEARNER_PROBE, LEARNERS };
extern const char *const learner_names[LEARNERS];
int learner_find(const char *name);         /* −1: none of them */
bool learner_reads_features(enum learner_kind kind);

/* Rows that are learnt from, or that are to be answered; all borrowed. */
struct examples {
	size_t n;
	struct text *text;          /* [n] what a row asks */
	const float *feature;       /* [n][n_layers][width], or NULL */
	size_t n_layers, width;
	const int *layer;           /* [n_layers] which they are, ascending */
	struct labels labels;
	const int32_t *y;           /* [n] the label of each row */
	const double *number;       /* [n] instead, where the problem is a regression */
};

struct learner_options {
	double C;                   /* 0: chosen */
	int layer;                  /* −1: chosen */
	int k;                      /* 0: chosen */
	int folds;                  /* at most the rows */
	uint64_t seed;
};

struct learner {
	enum learner_kind kind;
	struct arena mem;
	struct labels labels;
	double temperature;
	double C;
	int layer, k;               /* of a model; neighbours */
	struct tfidf words;
	struct linear_model linear;
	size_t width;               /* of features: */
	float *center, *scale;      /* [width] (x − center)·scale */
	size_t n_kept;              /* knn: [n_kept][width] rows of length 1, and what they are */
	float *kept;
	int32_t *kept_y;
	double *kept_number;
	double *prior;              /* [labels.n] of majority: log of the share, or the mean */
	size_t rows;                /* that it was fitted on */
	int folds;
	/* of cross-validation: each row's outputs, [rows][labels.n], not saved; accuracy, or 1 − mse/variance; the mean
	 * of −log p */
	double *held;
	double held_score, held_loss;
	bool has_held;              /* false where there were too few rows for it */
};

enum { LEARNER_STAGE_ROWS = 2000, LEARNER_BEST_LAYERS = 3, LEARNER_NEIGHBOURS = 50 };

/* −1: rows of one label alone, fewer than two of them, no words, or a stop was asked for. Released by the caller,
 * after an error too. */
int learner_fit(struct learner *l, enum learner_kind kind, const struct examples *x, const struct learner_options *o,
                const struct workshop *on, struct err *e);
/* z[x->n][labels.n], divided by the temperature. Features must have the learner's layer, as many numbers. */
int learner_outputs(const struct learner *l, const struct examples *x, const struct workshop *on, float *z,
                    struct err *e);
void learner_release(struct learner *l);

/* learner.json and learner.safetensors in a folder that is there. more: keys of the caller's beside ours, or NULL. */
int learner_save(const struct learner *l, const char *dir, const json_t *more, struct err *e);
/* *json: all of the file, a new reference, or NULL: not wanted. */
int learner_load(struct learner *l, const char *dir, json_t **json, struct err *e);
bool learner_is_in(const char *dir);

#endif
