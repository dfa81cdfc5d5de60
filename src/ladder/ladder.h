/* ladder: the ways that reach an outcome, from the cheapest to the dearest, as a table of rungs: one file rung_x.c a
 * row.
 *
 * A rung says whether it can be (fits), what making it and answering with it would take (price), makes it in a folder
 * of its own (make), and answers rows with it (answer). What it leaves is an artefact (ladder/adapted.h). Which rung
 * is next is not its affair (ladder/climb.h), nor what it took, which whoever calls meters.
 *
 * A rung stands on a model (struct base_model), of which several may be given: whoever calls says on which. One at a
 * time is open; it is closed before a training, which opens its own. */
#ifndef LADDER_LADDER_H
#define LADDER_LADDER_H

#include "eval/evaluate.h"
#include "gas/economics.h"
#include "ladder/priors.h"
#include "ladder/task.h"
#include "template/template.h"
#include "train/trainer.h"

struct ladder;

#define CASCADE_FILE "cascade.json"
#define KEPT_FILE "kept.json"

struct rung_price {
	struct span make;     /* seconds, before a row is answered */
	double answer, spare; /* seconds a row; of them, those that come only where answers are long */
	double find;          /* of them, those in which documents are looked for */
	double scoring;       /* beside them, where an answer is written: of scoring the right one, which no use has */
	double bytes;         /* of memory while answering */
	double make_bytes;    /* of the process while it is made, at its peak; 0: no more than while answering */
	double operations;    /* of making */
};

/* Some of the rows to learn from. */
struct rung_part {
	const size_t *at; /* [n] rows of the task */
	size_t n;
};

struct rung {
	const char *name;    /* "lora-small": in files, --rungs and --json */
	const char *summary; /* half a line: what it is */
	/* 0, or −1 and a sentence that says why this cannot be of these rows and this model. */
	int (*fits)(struct ladder *l, struct err *e);
	int (*price)(struct ladder *l, struct rung_price *p, struct err *e);
	/* Into dir, which is there; what is half made there is gone on with. NULL: there is nothing to make. */
	int (*make)(struct ladder *l, const char *dir, struct err *e);
	/* out[n] of rows at[n] of the task. */
	int (*answer)(struct ladder *l, const char *dir, const size_t *at, size_t n, struct outcome *out,
	              struct err *e);
	/* What answers, for artefact.json: new. Paths are relative to dir, where a rung's files lie. */
	json_t *(*leaves)(struct ladder *l, const char *dir, struct err *e);
	/* What it would answer to rows at[n] had it learnt from each part alone, out[n_parts][n], where that takes next
	 * to nothing once it is made; else NULL. outcome_none: of a part nothing can be learnt. */
	int (*fewer)(struct ladder *l, const char *dir, const struct rung_part *parts, size_t n_parts, const size_t *at,
	             size_t n, struct outcome *out, struct err *e);
	/* The rungs whose measured score says most of what this one's will be, of two the better one's once both
	 * are measured; NULL: none. */
	const char *near, *near_too;
	bool trains, no_model; /* it trains; it answers without the model */
	bool learns;           /* it is fitted, and says how sure it is */
	bool reads;            /* documents, which must be given */
	bool combines;         /* it is put together of others that were measured */
	bool stays;            /* more rows to learn from change nothing of it */
	bool earlier;          /* it is what was chosen before more rows came */
	int order;             /* place in tables: about that of its price */
};

extern const struct rung *const rung_table[];   /* generated, NULL-terminated, by name */
const struct rung *rung_find(const char *name); /* NULL: there is none */

/* A model that ways stand on, and what was found out of it. */
struct base_model {
	const char *path;
	json_t *notes; /* what rungs decided once and do again, by rung; of the caller's */
	/* What a choose row takes: answered by the bare model; read, where a state is all that is wanted. */
	struct rung_price bare, read;
	bool is_priced, is_read;
	/* States of the rows to learn from (ladder/learnt.h), of all layers that are kept, or NULL. */
	float *features;
	int *layers;
	size_t n_layers;
	double read_seconds; /* that reading them took, by whichever way came first */
};

/* What a ladder stands on; all borrowed. */
struct ladder {
	const struct task *task;
	const struct priors *priors;
	struct base_model *on;
	const char *dir; /* where data and rungs lie */
	const char *was; /* where states that were read before lie; NULL: there */
	struct device *device;
	const char *compute; /* of answers: "f32", "int8", "auto" */
	uint64_t seed;
	bool apply_chat_template;
	int32_t max_length; /* of a training document */
	int32_t micro_batch_tokens;
	/* Rows that trainings learn from, a name in dir/data, and how many they are; NULL: all to learn from. */
	const char *part;
	size_t part_n;
	double train_seconds;        /* what one training may take; infinite: there is no limit */
	const struct speeds *speeds; /* of this machine, or NULL */
	/* By how much runs of its kind took longer on this machine than was planned; NULL: nothing is known. */
	double (*slower)(void *ctx, const struct recipe *r, const struct trainer *t);
	/* Trains what a recipe says, to its end, from where it was; the folder is there. */
	int (*train)(void *ctx, const struct recipe *r, struct err *e);
	int (*progress)(void *ctx, const struct evaluate_progress *p); /* other than 0 ends it */
	void *ctx;
	/* Puts what documents have before what rows ask: out is new, its rows are of their files; t: of the model that
	 * is asked. The seconds that it took are added. NULL: there are no documents. */
	int (*find)(void *find_ctx, const struct tokenizer *t, const struct rows *rows, struct rows *out,
	            double *seconds, struct err *e);
	void *find_ctx;
	/* What answers of rows at[n] are worth: out[n]. NULL: nobody judges. The seconds that it took are added. */
	int (*reward)(void *reward_ctx, const struct task *t, const size_t *at, const char *const *answers, size_t n,
	              double *out, struct err *e);
	void *reward_ctx;
	bool no_scores;          /* rows with answers: as evaluate_options has it */
	size_t answers_left;     /* so many rows with answers are still answered, others scored alone; SIZE_MAX: all */
	bool unjudged;           /* rewards are not asked for now */
	double reward_seconds;   /* that all of them took */
	int32_t max_new_tokens;  /* of an answer; 0: as many as the one that is right, and a few */
	const json_t *documents; /* where they lie and how they are found, for what is left */
	double find_seconds;     /* that all of it took */
	double shared_seconds;   /* that other ways took for what was made use of */
	double write_seconds;    /* that writing all answers took */
	double score_seconds;    /* that scoring right answers beside those that are written took, which no use has */

	/* Rows to learn from with what documents have, as dir/data/train-with-documents.jsonl, of a part as
	 * PART-with-documents.jsonl: */
	struct {
		const struct base_model *on; /* of which model; NULL: there are none */
		const char *part;
		int32_t longest; /* of these documents, in tokens */
	} found;

	const struct rung_price *kept; /* of what was chosen before more rows came; NULL: there is none */

	/* what is open */
	struct priced *priced; /* the first training that was priced, whose model others share; or NULL */
	struct model base;
	struct template *chat;
	char *open; /* its name, or NULL */
};

/* The model, and what trainings were priced on. */
void ladder_close(struct ladder *l);
/* The model with its tokenizer, and the template where rows want it; what is open stays. */
int ladder_open_model(struct ladder *l, struct err *e);
/* The same for its states alone: an encoder will do, and there may be no template. */
int ladder_open_states(struct ladder *l, struct err *e);
/* The rung of a way's name: what stands before @MODEL, where there are several models, and +SEED, where there are
 * several seeds. NULL: there is none. */
const struct rung *rung_of_way(const char *name);
/* The sides' rows as files in dir/data. */
int ladder_write_rows(struct ladder *l, struct err *e);

/* Some of them, in the file's order, as dir/data/NAME.jsonl. */
int ladder_write_part(const struct ladder *l, const char *name, const struct rung_part *part, struct err *e);

/* --- for rungs --- */

/* What the answers to rows at[n] are worth goes into out[n], where somebody judges. */
int ladder_reward(struct ladder *l, const size_t *at, const char *const *answers, size_t n, struct outcome *out,
                  struct err *e);

struct model_way {
	const char *model;    /* NULL: the one that the rung stands on */
	const char *adapter;  /* or NULL */
	bool states;          /* its states alone are wanted: an encoder will do */
	const json_t *prompt; /* what stands before each row, as fewshot_save has it; or NULL */
	bool sources;         /* what documents have stands before each row */
	bool calibrated;      /* of choices that all rows have, by inputs without content (eval/calibrate.h) */
};
/* Answers by a model. */
int ladder_answer(struct ladder *l, const struct model_way *w, const size_t *at, size_t n, struct outcome *out,
                  struct err *e);
/* What answering the choose rows so would take. */
int ladder_forecast(struct ladder *l, const struct model_way *w, struct rung_price *p, struct err *e);
/* The same of the bare model, found out once. */
int ladder_price_model(struct ladder *l, struct rung_price *p, struct err *e);

/* A training: NAME, VALUE, … NULL as options of tune have them, over what the ladder says itself. */
struct training {
	const char *rung; /* whose rate, rank and epochs the priors have */
	const char *const *options;
	bool sources; /* what documents have stands before each row that is learnt from */
};
int ladder_train(struct ladder *l, const struct training *t, const char *dir, struct err *e);
int ladder_price_training(struct ladder *l, const struct training *t, struct rung_price *p, struct err *e);
/* Of n rows those that a training sees in the steps that it was given; all where the rung does not train. */
double ladder_rows_seen(const struct base_model *on, const char *rung, double n);

#endif
