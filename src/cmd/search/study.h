/* study: a search over a space of options, as its folder keeps it.
 *
 *     DIR/study.json      what was asked for, every trial, every decision, in order; written beside and renamed, so a
 *                         process that is killed leaves it whole, and the next one goes on with the same choices
 *     DIR/rows/           the evaluation rows, those that choices see and those held back; what each trial made of each
 *                         of them on each rung
 *     DIR/trials/NNNN/    a run each, as tune leaves it; trials are counted from 1 wherever people see them
 *     DIR/front.svg       score against gas
 *
 * Gas of a trial on a rung is counted in operations, as its plan has them, at two rates (a floating-point operation, an
 * integer one) that are measured once, when the study begins: so a busy minute on the machine changes no choice, and
 * seconds, joules and money are in proportion to it. What a trial really took is kept beside, for the front and for
 * --max-gas. */
#ifndef CMD_SEARCH_STUDY_H
#define CMD_SEARCH_STUDY_H

#include "cmd/command.h"
#include "cmd/trial.h"
#include "gas/meter.h"
#include "search/paired.h"
#include "search/propose.h"
#include "search/rungs.h"
#include "train/recipe.h"

struct search {
	struct common common;
	struct recipe recipe;
	const char *space, *test_data, *sampler, *pruner, *metric;
	int64_t trials, eta, rungs;
};
extern const struct opt search_opts[];
extern const struct command cmd_search;

/* A score: lower is better in `value`, which decides; as people read it in mean … high. */
struct study_score {
	double value, mean, stderr_, low, high, eval_loss;
	size_t n;                      /* rows */
	long step;
};

struct study_trial {
	struct space_place *at;        /* [space.n], in the study's arena */
	struct standing standing;
	struct study_score score[RUNGS_MOST + 1];
	struct study_score end;        /* of the last evaluation that was on no rung */
	bool has_end;
	bool planned, busy, to_end, cut;       /* busy: it was begun and has not paused; cut: ended as it stood */
	long steps, rung_step[RUNGS_MOST + 1];
	double cost;                   /* of the whole run, in seconds of the study's rates */
	struct gas gas;                /* what it took */
	size_t trainable;
	char *error;
};

struct study {
	struct app *app;
	char *dir;
	int lock;
	json_t *argv;                  /* words after "search" */
	json_t *paths;                 /* of the files, whole: name of the option → path */
	struct search o;               /* what was asked for */
	struct opt_parse parse;
	char *space_text;
	struct space space;
	struct rungs rungs;
	enum propose_by by;
	double flop_seconds, int_op_seconds;   /* the study's rates */
	double beginning;              /* seconds that opening a trial was planned to take */
	double most;                   /* cost of the recipe with nothing varied: gas of the highest rung's end */
	double share, reserve;         /* of --max-gas: what such a run takes; what the end is left */
	int hits;                      /* 1: the score is a share of hits, 0: a loss, −1: not known yet */
	struct study_trial *trials;
	size_t n;
	json_t *decisions;
	json_t *base;                  /* the evaluation before any training, or NULL */
	json_t *test;                  /* what the end says of the rows held back, or NULL */
	size_t held_back, selection;   /* rows */
	struct gas before;             /* what earlier processes took */
	json_t *processes;
	const char *status;            /* "running", "stopped", "finished" */
	bool gas_out;
	struct arena mem;
};

/* Parses the words again, with the study's paths over them: what every trial begins with. */
struct study_options { struct search o; struct opt_parse parse; };
int study_options(struct study_options *h, const struct study *s, struct err *e);
/* A new trial, where the sampler wants it; 1: the space has no place that was not tried. */
int study_begin(struct study *s, int first, struct err *e);
/* The words of a trial besides, in its own parse, and its recipe resolved and settled; released by opt_release. */
int study_recipe(struct study_options *h, struct study *s, size_t trial, struct err *e);
/* What the trial's parameters are, by their options' names, as texts. New reference. */
json_t *study_values(const struct study *s, size_t trial);
char *study_trial_dir(const struct study *s, size_t trial);                     /* mem_free */

/* Reads --space or makes the usual space of what was not given. */
int study_space(struct study *s, const char *text, const char *where, struct err *e);
/* The text of the usual one; mem_free. */
char *study_usual_space(const struct opt_parse *p);

int study_save(struct study *s, struct err *e);
int study_load(struct study *s, struct app *app, const char *dir, struct err *e);
/* What follows from the options: how many rungs and trials, which sampler. */
void study_settle(struct study *s);
bool study_is(const char *dir);
void study_release(struct study *s);

/* Rows of a trial's evaluation on a rung, kept beside; [*n] each, mem_free all. */
struct study_rows { double *loss, *weight, *hit; size_t n; };
int study_put_rows(const struct study *s, size_t trial, int rung, const struct eval_row *rows, size_t n,
                   struct err *e);
int study_get_rows(const struct study *s, size_t trial, int rung, struct study_rows *out, struct err *e);
void study_rows_release(struct study_rows *r);
/* The paired difference of what decides, trial less other, on a rung; of hits as people read it (more is better) the
 * sign is turned. n 0: the rows are not there. */
struct paired study_compare(const struct study *s, size_t trial, size_t other, int rung);
struct study_score study_score(struct study *s, const struct eval_row *rows, size_t n, double eval_loss, long step);
/* The level of the last score a trial has; −1: none. */
int study_level(const struct study *s, const struct study_trial *t);
/* Of those that came to their end the best; else the best of the highest rung; −1: none. */
long study_best(const struct study *s);

/* search_rows.c: writes rows/selection.jsonl and, without --test-data, rows/held-back.jsonl. */
int study_split(struct study *s, struct err *e);
/* search_run.c: runs what there is to run; the exit status. */
int study_run(struct study *s, struct err *e);
/* search_report.c */
int study_report(struct study *s, struct err *e);
/* cmd_search.c: goes on with the study in a folder. */
int search_resume(struct app *app, const char *dir, struct err *e);

#endif
