/* shrink: what the files of the command share: what is wanted, texts, rungs and what they came to. */
#ifndef CMD_SHRINK_H
#define CMD_SHRINK_H

#include "cmd/command.h"
#include "cmd/model_common.h"
#include "data/document.h"
#include "data/rows.h"
#include "eval/agreement.h"
#include "eval/importance.h"
#include "eval/moments.h"
#include "gas/meter.h"
#include "infer/own_texts.h"
#include "model/quantize_model.h"
#include "train/recipe.h"

enum { SHRINK_TYPES = 16, SHRINK_LENGTH = 256 /* tokens of a text, at most */ };
enum rung { RUNG_ROUND, RUNG_IMATRIX, RUNG_GPTQ, RUNG_LEARN, RUNGS };
extern const char *const rung_names[RUNGS];

struct shrink {
	struct common common;
	const char *to, *out, *data, *eval_data, *task, *goal, *rungs;
	int64_t texts, max_steps, batch_size, limit, seed;
	double learning_rate;
	size_t memory;
};

struct goal { bool kl, ppl; double most; };

/* What a rung came to. */
struct step {
	const char *type;
	enum rung rung;
	char *path;
	size_t bytes;
	struct agreement a;
	double *kl_of;                     /* [judge.n] Σ of each text */
	struct estimate share;             /* of the divergence of plain rounding, as long as both are of one type */
	struct estimate task;
	struct gas gas;
	bool meets;
};

struct set {
	struct documents documents;        /* of rows; or: */
	struct own_texts own;
	struct rows rows;
	uint8_t *learn;                    /* one for all own texts */
	struct document *items;            /* [n] */
	size_t n;
};

struct shrinking {
	struct app *app;
	const struct shrink *o;
	const char *model;
	char *types[SHRINK_TYPES];         /* from that on whose file is smallest */
	size_t sizes[SHRINK_TYPES];        /* of their tensors, bytes */
	size_t n_types;
	struct goal goal;
	char *work, *texts, *imatrix;      /* FILE.shrink, and in it */
	struct loaded source;
	char hash[33];
	struct moments moments;            /* of some layers, while a file is made by them */
	struct set learn, judge;
	struct rows task;
	struct estimate before;            /* the source's task score */
	const char *score;                 /* what that is */
	struct step steps[SHRINK_TYPES * RUNGS];
	size_t n;
	bool stopped;
};

/* Types of tensors, and what that stands on. */
struct shrink_list {
	struct quantize_model q;
	struct imatrix imatrix;
	struct quant_mix_wish wish;
	struct quantize_how how;
	struct export_weights own;
};

/* cmd_shrink.c: the last rung that is climbed. */
enum rung shrink_last(const struct shrinking *s);
/* Own texts to learn by, as rows that tune reads. */
int shrink_write_texts(struct shrinking *s, const char *path, struct err *e);

/* shrink_rungs.c. What a type makes of the tensors; weighted: with the importance matrix s->imatrix. After an error
 * there is nothing to release. It stays where it is. */
int shrink_list(struct shrinking *s, const char *type, bool weighted, struct shrink_list *l, struct err *e);
void shrink_list_release(struct shrink_list *l);
/* The file of a rung without training, and its size; path NULL: its size alone. */
int shrink_quantize(struct shrinking *s, const char *type, enum rung rung, const char *path, size_t *bytes,
                    struct err *e);
/* What matters by the texts to learn by, as the file s->imatrix. */
int shrink_imatrix(struct shrinking *s, struct err *e);
/* A run that learns, in s->work; x->gas is its. */
int shrink_learn(struct shrinking *s, struct step *x, struct err *e);
int32_t shrink_longest(const struct set *x);                 /* tokens */
size_t shrink_moments_bytes(const struct shrinking *s);      /* that gptq's sums may take at a time */
/* What learning is: a recipe of tune's; p owns what it points to. from: the file that it begins as, where scales are
 * learnt, or NULL: the source. */
int shrink_recipe(struct shrinking *s, const char *type, const char *from, const char *dir, struct recipe *r,
                  struct opt_parse *p, struct err *e);
/* shrink_plan.c: before texts are drawn: those that are to be are stood in for. As planned() has it. */
int shrink_plan(struct shrinking *s, struct err *e);

#endif
