/* objective: what a run learns from its rows. One file objective_x.c a row of the table.
 *
 * A row says which documents it learns from (by the roles of their group, data/shape.h), how forward and loss are
 * recorded, which named numbers it wants in a batch, what it tells of a step, and, where it makes its documents
 * itself, how large they may get. Order, packing, gradients, update, plan, checkpoints and logging are the trainer's.
 *
 *     trainer_open    check, open, then what is trained is made, params, then the plan: record (several times), loss
 *                     on numbers that mean nothing
 *     trainer_start   begin, while the weights are those of the start
 *     a step          documents (if it makes them); for each micro-batch fill, the tape (record's loss with its
 *                     gradient), loss once more, for the sums
 *     evaluation      fill and loss of each micro-batch, or its own eval of the documents' Σ log p
 *
 * The gradient is that of Σ loss over all micro-batches; the trainer divides it, and the loss that it tells, by Σ
 * weight, so no split of the global batch shows. A group's weight (batch.group_weight) multiplies its loss and is in Σ
 * weight. */
#ifndef TRAIN_OBJECTIVE_H
#define TRAIN_OBJECTIVE_H

#include <math.h>

#include "base/opt.h"
#include "base/pool.h"
#include "data/document.h"
#include "data/forest.h"
#include "data/shape.h"
#include "model/export.h"
#include "model/graph.h"
#include "op/pass.h"
#include "train/ranks.h"
#include "train/synced.h"

enum { OBJECTIVE_METRICS = 32 /* at most */, OBJECTIVE_SCRATCH = 3 };
#define OBJECTIVE_FILE "objective.safetensors"

struct objective;

/* One at work: a trainer has one. */
struct objective_run {
	const struct objective *row;
	const void *options;           /* the row's own struct, or NULL */
	void *state;                   /* what open made */
	double *scratch;               /* [OBJECTIVE_SCRATCH][docs of a batch] for loss */
	struct overlay own;            /* its parameters, where it has some: nn_param(g, &o->own, i) */
	/* What it works in, borrowed: */
	struct model *model;
	/* all that is trained, with its numbers of this moment; NULL while it opens */
	const struct overlay *overlay;
	struct pool *pool;
	const struct kernels *kernels;
	struct device *device;
	const struct documents *documents, *eval_documents; /* of the data; the latter NULL where there is none */
	const struct rows *rows, *eval_rows; /* of which they are made */
	const struct template *chat;   /* with it, where it is there; NULL */
	bool apply_chat_template;
	/* how a step is packed; groups of the data in a step at most: not while it opens */
	const struct forest_options *forest;
	size_t groups;
	/* of its micro-batches, as `plan` is asked, and counts over those of all steps that remain */
	const struct batch_cap *cap;
	struct live live;
	double micro_batches, steps;
	uint64_t seed;
	int32_t max_length;            /* of a document */
	struct synced *synced;         /* its reference's own numbers; NULL: it stays */
	/* Those that train the same with it, all of whom call the same functions in the same order, but for save and
	 * evaluate, which are rank 0's; NULL: it is alone. */
	struct ranks *ranks;
	struct work *computed;         /* what documents and evaluate compute is added here */
};

/* Sums over micro-batches. */
struct objective_sums {
	double loss, weight;           /* the loss that is told, and the gradient, are divided by weight */
	double metric[OBJECTIVE_METRICS], metric_weight[OBJECTIVE_METRICS];
};

/* The mean of what was measured; NAN where nothing was. */
struct objective_metrics {
	const char *const *names;      /* [n] "rewards/margins" */
	int n;
	double value[OBJECTIVE_METRICS];
};

/* One row of an evaluation, so that two runs are compared on the same rows: eval_loss is Σ loss / Σ weight. */
struct eval_row {
	double loss, weight;
	double hit;                     /* 1: it was right, 0: it was not; NAN: that is not asked */
};

struct eval_metrics {
	double eval_loss, perplexity, seconds;
	int64_t tokens;                 /* that the loss is a mean of */
	double acc, acc_norm, acc_stderr, acc_norm_stderr; /* choice rows; else NAN */
	int64_t n;                      /* rows */
	struct eval_row *rows;          /* [n] in their order, the trainer's: until the next evaluation */
	struct objective_metrics metrics;
};

/* The most that an objective makes of one group of the data: again a group. */
struct objective_maxima {
	int32_t documents;
	int32_t tokens, labels;         /* of a document; labels: of them, those that are learnt */
	/* They stand alone, none of them `joined`: exactly so many of each group, in any micro-batch; each weighs as
	 * its row. */
	bool apart;
};

/* What making documents and evaluating by itself takes beside the steps' own passes. */
struct objective_plan {
	size_t bytes;                   /* of memory while the run lasts */
	double step_seconds, eval_seconds;
	struct work step, eval;
	bool base;                      /* the model is read without what is trained, too */
};

struct objective {
	const char *name;                            /* "sft" */
	const char *summary;                         /* half a line, for --help */
	const char *const *also;                     /* what else means it, until NULL; or NULL */
	bool standard;                               /* --objective where nobody says another; one row is */
	double rate;                                 /* its usual learning rate as a multiple of the method's */
	const struct opt *opts;                      /* its own options (base/opt.h), or NULL */
	size_t options_size;                         /* of the struct that they fill */
	const char *const *roles;                    /* of a row's documents, until NULL; NULL: they stand alone */
	/* Numbers that it wants in a batch, until one without a name; or NULL. */
	const struct batch_column *columns;
	/* The column "reference" (PER_LABEL) is the log-probability that the model had at the start, with the bits that
	 * the first step will find: made once, kept, and filled in by the trainer. */
	bool reference;
	/* Of its options, whether the reference follows what is trained; NULL: it cannot. With the column
	 * "reference" it is then asked anew before each step. */
	const struct synced_options *(*synced)(const void *options);
	/* The model is made one that classifies (model/classifier.h): a document is trained on where its own token is,
	 * a decoder's last, an encoder's first. Rows have labels (shape.labelled), or roles. */
	bool labelled;
	/* It learns from answers with scores, too, however many (shape.ranked): document.score. */
	bool ranked;
	/* Tokens of texts are hidden and predicted: the share, of the row's own options (data/masking.h). `documents`
	 * makes one of each, as long and with as many tokens learnt, or fewer; those of the evaluation are made once,
	 * as those of step −1. NULL: it is another's. */
	double (*masked)(const void *options);
	/* With its options it makes the documents of each step anew: `documents` makes one of each, as long and with as
	 * many tokens learnt, or fewer, that share no beginnings. Not those of evaluations. NULL: it never does. */
	bool (*rewrites)(const void *options);
	bool (*unshared)(const void *options);       /* documents share no beginnings; NULL: they may */
	const char *(*reads)(const void *options);   /* a column of the rows that it reads itself, or NULL */
	const char *const *metrics;                  /* names of what loss measures, until NULL; or NULL */
	unsigned least, most;                        /* bit i: metric i is objective_least's, objective_most's */
	const char *const *loss_types;               /* names for --loss-type, until NULL; or NULL */
	/* Unless --train-sampling-strategy says otherwise, rows are taken in the order of the file. */
	bool sequential;
	/* It learns from texts that stand alone, so also from windows of token shards, of which the documents of one
	 * step at a time are there. */
	bool windows;
	/* Of a document of the first role the prompt is learnt too: those tokens' `learn` is LEARN_PROMPT. */
	bool prompts;

	/* Members below may be NULL, but for record and loss. */
	/* Options that contradict each other. */
	int (*check)(const void *options, struct err *e);
	/* Before anything lies over the model, of which it may make one that classifies. */
	int (*open)(struct objective_run *o, struct err *e);
	void (*close)(struct objective_run *o);
	/* Parameters of its own: adds them to p; they begin as 0, or as begin makes them, are trained with the others
	 * and end in a file beside the result (OBJECTIVE_FILE). */
	int (*params)(const struct objective_run *o, struct params *p, struct err *e);
	int (*begin)(struct objective_run *o, struct err *e);
	/* Records what follows the hidden states; returns the tensor that loss reads. Where that is not
	 * graph_logprob's, whose gradient is its own, the loss is recorded too: objective_loss. */
	uint32_t (*record)(const struct objective_run *o, struct graph *g, uint32_t hidden);
	/* So many steps after each other are of the same rows; NULL: one. */
	long (*repeats)(const void *options);
	/* Once all is there but numbers: takes what it makes documents with, and says what that needs. */
	int (*plan)(struct objective_run *o, struct objective_plan *p, struct err *e);
	/* The loss of every batch while nothing has moved from the reference, by the options; NAN: it is not known. */
	double (*start)(const void *options);
	/* Of all documents that a loss is about to be taken of, docs[0..n), a step's or an evaluation's, before the
	 * first micro-batch: what it must know of the whole. */
	void (*whole)(const struct objective_run *o, const struct document *const *docs, size_t n);
	/* Whether a loss wants what the model says now of some documents before any gradient is made. They are the
	 * step's own, or those of `beside`: of all rows d (`global` of them a step), one for each group, made once.
	 * They run forward in training's arithmetic, after `whole`; each micro-batch goes to look, its column
	 * "reference" filled, then all have been there: looked. NULL: nothing is looked at. */
	bool (*looks)(const void *options);
	/* The temperature at which that is said, 1 where it is NULL. */
	double (*looks_at)(const void *options);
	int (*beside)(const struct objective_run *o, const struct documents *d, size_t global, struct documents *out,
	              struct err *e);
	void (*look)(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
	             const float *logprob);
	void (*looked)(const struct objective_run *o);
	/* The same tensor without a loss, for evaluations; NULL: graph_logprob's. */
	uint32_t (*forward)(const struct objective_run *o, struct graph *g, uint32_t hidden);
	/* What the loss of a micro-batch is divided by, as `loss` adds it up; NULL: Σ label_weight. */
	double (*weight)(const struct batch *b);
	/* Fills the columns of a batch with docs (b->n_docs of them) in it. */
	void (*fill)(const struct objective_run *o, struct batch *b, const struct document *const *docs);
	/* Of what record returned (one number a label, say): adds to the sums, writes all of the gradient; either may
	 * be NULL. A function of its arguments alone; nothing is allocated. */
	void (*loss)(const struct objective_run *o, const struct batch *b, const float *x, float *dx,
	             struct objective_sums *s);
	/* A micro-batch of a step has run; x: what record returned. Nothing is allocated. */
	void (*passed)(const struct objective_run *o, const struct batch *b, const struct document *const *docs,
	               const float *x);
	/* Of a step that is done: more numbers beside those of `metrics`, always as many, into m, whose names become
	 * its own ([OBJECTIVE_METRICS]). */
	void (*tell)(const struct objective_run *o, struct objective_metrics *m);
	/* Evaluates the documents itself (answers to prompts): eval_loss, tokens, metrics, rows. */
	int (*evaluate)(const struct objective_run *o, const struct document *const *docs, size_t n,
	                struct eval_metrics *m, struct err *e);
	/* What a checkpoint must have beside numbers and step, in files of its folder; and back. */
	int (*save)(const struct objective_run *o, long step, const char *dir, struct err *e);
	int (*load)(const struct objective_run *o, long step, const char *dir, struct err *e);
	/* From Σ log p of each document's learnt tokens; NULL: loss is what is told. */
	void (*eval)(const struct objective_run *o, const struct documents *d, const double *sum,
	             struct eval_metrics *m);
	/* Documents that it makes itself, of the groups of a step: what they may need is known before any is. None at
	 * all: with its options it learns from those of the data, and `documents` is not called. */
	void (*maxima)(const struct objective_run *o, struct objective_maxima *m);
	/* Of a step's documents as the data has them, docs[0..n): as many groups, in their order, into out (of whom
	 * maxima says the most, and `joined` where groups begin), and *made, how many documents. They stay until the
	 * next call. May allocate. The weights are those before the step, so a run that goes on makes the same. */
	int (*documents)(const struct objective_run *o, long step, const struct document *const *docs, size_t n,
	                 const struct document **out, size_t *made, struct err *e);
};

extern const struct objective *const objective_table[];  /* generated, NULL-terminated */
bool objective_rows(size_t i, struct opt_row *out);     /* the table, for OPT_PICK and OPT_ROWS */
const struct objective *objective_find(const char *name);
/* Can it learn from rows of this shape? */
bool objective_accepts(const struct objective *o, const struct shape *s);
void objective_shapes(const struct objective *o, struct buf *out);   /* "a, b or c": those that it can */
/* The rows that it learns from of a file of feedback (data/feedback_rows.h). */
int objective_feedback(const struct objective *o);
int objective_n_roles(const struct objective *o);       /* 1 where documents stand alone */
/* Is it its documents' own, of which `documents` makes one of each? */
bool objective_rewrites(const struct objective_run *o);

/* --- for rows --- */

/* The loss that stands on x, recorded; returns x. */
uint32_t objective_loss(const struct objective_run *o, struct graph *g, uint32_t x);
/* out[d] = Σ over the labels of document d of x − (minus, where it is not NULL). */
void objective_document_sums(const struct batch *b, const float *x, const float *minus, double *out);
/* The loss of tokens: adds −Σ weight · x, and Σ weight; the gradient is token_logprob's own. */
void objective_token_loss(const struct batch *b, const float *x, struct objective_sums *s);
static inline void objective_measure(struct objective_sums *s, int metric, double value, double weight)
{
	s->metric[metric] += weight * value;
	s->metric_weight[metric] += weight;
}
/* The least of all values, or the largest, which no split of the batch changes either. */
static inline void objective_least(struct objective_sums *s, int metric, double value)
{
	s->metric[metric] = s->metric_weight[metric] > 0 ? fmin(s->metric[metric], value) : value;
	s->metric_weight[metric] = 1;
}
static inline void objective_most(struct objective_sums *s, int metric, double value)
{
	s->metric[metric] = s->metric_weight[metric] > 0 ? fmax(s->metric[metric], value) : value;
	s->metric_weight[metric] = 1;
}

/* --- for the trainer --- */

double objective_weight(const struct objective *o, const struct batch *b); /* what a micro-batch adds to sums.weight */

/* What one micro-batch came to joins the others'. */
void objective_join(const struct objective *o, struct objective_sums *to, const struct objective_sums *leaf);
struct objective_metrics objective_mean(const struct objective *o, const struct objective_sums *s);

#endif
