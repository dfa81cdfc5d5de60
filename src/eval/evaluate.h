/* evaluate: how well a model does on rows, with the error of every score. What is measured follows from the shape of
 * the rows (data/shape.h, judged), and of a model that classifies from its labels: evaluate_labels.c.
 *
 *     choices   query,choices,gold · prompt,chosen,rejected
 *               acc: the choice with the largest Σ log p is the gold one (the chosen); acc_norm: the same divided by
 *               the choice's characters. lm-eval's arithmetic; of equals the first counts. perplexity: of the gold ones
 *     texts     perplexity, by windows (window.h)
 *     rewards   preferences and ranked answers, of a model with one output: evaluate_rewards.c
 *     answers   prompt,completion · messages · conversations · instruction,output
 *               exact_match: the greedy answer to everything before the last answer is that answer, white space at both
 *               ends aside. f1: of their words (word_f1.h), where there is one answer. perplexity: of all answers */
#ifndef EVAL_EVALUATE_H
#define EVAL_EVALUATE_H

#include "infer/scorer.h"
#include "eval/calibrate.h"
#include "data/shape.h"
#include "eval/label_scores.h"
#include "eval/statistics.h"
#include "eval/vote.h"

struct evaluate_progress {
	const char *doing;                 /* "scoring", "answering" */
	int64_t done, total;               /* tokens */
	double seconds;                    /* since this began */
};

/* What judging will take, known before it begins. */
struct evaluate_forecast {
	double score_seconds, answer_seconds, start_seconds; /* answers: as long as they may get; taking memory */
	double spare_seconds;              /* of answer_seconds: if all answers end at once, it is not taken */
	double flops, int_ops;             /* all operations; of them, those in int8 */
	size_t bytes;                      /* of work space, the larger of the two */
	const struct document *items;      /* [n] what will go through the model */
	size_t n;
};

struct evaluate_options {
	int32_t max_length;                /* of a document, of a window; at most the model's positions */
	int32_t stride;                    /* of windows */
	int32_t micro_batch_tokens;
	bool apply_chat_template;          /* choice rows: the query is the user's turn */
	const char *const *stop;           /* [n_stop] texts that end an answer beside its own end; or NULL */
	size_t n_stop;
	/* Answers: compared by what they come down to; NULL: as they are. */
	const struct extract *extract;
	int32_t max_new_tokens;            /* of an answer; 0: as many as the one that is wanted, and a few */
	size_t samples;                    /* above 1, with extract: so many are drawn, and the most of them count */
	double temperature;
	uint64_t seed;
	bool no_scores;                    /* answers: the right one gets no log-probability: there is no perplexity */
	bool no_answers;                   /* answers: none is written, the right one is scored alone */
	bool whole;                        /* rows with examples before them: none is cut */
	bool prompts;                      /* `detail` has what is asked, as the model reads it */
	/* Choice rows that all have the same choices. contextual: by these rows, which ask nothing. */
	enum calibration calibrate;
	const struct rows *content_free;
	const char *group_by;              /* rewards: the column that names a row's subset; NULL: the usual ones */
	/* other than 0 ends it with an error; may be NULL */
	int (*progress)(void *ctx, const struct evaluate_progress *p);
	void (*detail)(void *ctx, json_t *line);  /* what came of a row, in order, borrowed; may be NULL */
	/* Before anything is computed; -1 ends it with that error. NULL: nobody wants to know. */
	int (*planned)(void *ctx, const struct evaluate_forecast *f, struct err *e);
	void *ctx;
};

struct subject {                       /* what is judged, and with what; borrowed */
	struct model *model;
	const struct overlay *overlay;     /* or NULL */
	const struct template *chat;       /* or NULL */
	struct device *device;
};

/* How well rewards tell which answer is better. A row's accuracy is the share of its pairs whose better answer has the
 * larger reward (equal rewards are wrong, as TRL and RewardBench count them); length: the same of longer answers,
 * equal ones are half a hit. */
struct reward_subset { const char *name; struct estimate accuracy, length; };

struct reward_scores {
	size_t rows, pairs, ties;          /* rows 0: nothing was rewarded; ties: pairs of equal rewards */
	size_t tied_rows;                  /* left out: none of their answers is better */
	struct estimate accuracy, loss, margin; /* −log σ(r_c − r_r), r_c − r_r: means over a row's pairs */
	struct estimate reward;            /* of all answers */
	double min_reward, max_reward;
	struct estimate length;            /* the longer answer is better */
	/* accuracy less that of length alone, the longer or the shorter answer, whichever is right
	 * more often here; paired */
	struct estimate above_length;
	struct estimate pearson, spearman; /* of rewards with characters of answers */
	const char *by;                    /* the column that names subsets, or NULL */
	struct reward_subset *subsets;     /* [n_subsets] in the order in which they come */
	size_t n_subsets;
	struct arena mem;                  /* of by, subsets */
};

struct evaluation {
	const struct shape *shape;
	size_t n;                          /* rows */
	/* n is 0 where the shape has none */
	struct estimate acc, acc_norm, acc_calibrated, exact_match, f1, perplexity;
	/* of several samples: the share that is right, and that says what the most say */
	struct estimate sample_match, agreement;
	double *prior;                     /* [n_choices] of calibration, or NULL */
	size_t n_choices;
	struct label_scores labels;        /* of a model that classifies: loss of a regression is its mse */
	struct estimate loss;
	struct reward_scores rewards;
	/* as written; with a log-probability; of which a shared beginning is counted once */
	int64_t tokens, scored_tokens, computed_tokens;
	int64_t new_tokens, read_tokens;   /* of greedy answers; of their prompts, those that were not kept */
	size_t n_truncated;                /* documents cut at max_length */
	double flops, int_ops, seconds;    /* all operations; of them, those in int8 */
	double score_seconds;              /* of the seconds, those of scoring */
	double reading_seconds, writing_seconds; /* of those of answering, parted as each answer's own are */
};

/* Rows that cannot be judged are refused with file and line. The caller releases what came of it. */
int evaluate(struct evaluation *v, const struct subject *s, const struct rows *r, const struct evaluate_options *o,
             struct err *e);
void evaluation_release(struct evaluation *v);
/* Is the chat template needed for them? */
bool evaluate_wants_template(const struct rows *r, const struct evaluate_options *o);

#endif
