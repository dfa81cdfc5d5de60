/* adapt_parts: what the files of src/cmd/adapt share; nobody else includes it, but for adapt_resume (adapt.h). */
#ifndef CMD_ADAPT_PARTS_H
#define CMD_ADAPT_PARTS_H

#include "cmd/adapt/adapt.h"
#include "base/log.h"
#include "cmd/index/sources_options.h"
#include "cmd/model_common.h"
#include "gas/curve.h"
#include "gas/meter.h"
#include "ladder/adapted.h"
#include "ladder/cascade.h"
#include "ladder/climb.h"
#include "ladder/ladder.h"
#include "train/run_dir.h"

struct reward_options {
	const char *model, *command, *template_;
};

struct adapt_options {
	struct common common;
	struct sources_options documents;
	struct reward_options reward;
	const char *data, *test_data, *goal, *out, *group_by, *rungs, *compute, *priors;
	double choose_size, test_size, uses, rung_seconds;
	int64_t max_new_tokens, seed, seeds, max_length, micro_batch_tokens;
	bool overwrite, time_order, apply_chat_template, measure_worth;
};
extern const struct opt adapt_opts[];
extern const struct log_sink adapt_log; /* of what rungs open: each warning once */

/* Who says what an answer is worth. */
struct adapt_reward {
	const struct reward_options *o;
	struct app *app;
	struct loaded l; /* where it is a model */
	bool open, failed;
};

enum { MODELS_MOST = 16 };

/* The index behind the way rag. */
struct adapt_documents {
	struct sources_options o;
	struct sources sources;
	bool open;
	json_t *how;       /* for artefact.json */
	char *mark;        /* by which the index is known again */
	const char *phase; /* of the meter, after finding */
};

/* A model that was given. */
struct given {
	struct base_model base;
	char *path, *label; /* of its file's name: in names of ways where there are several */
	double count;       /* parameters */
	bool encoder;
};

/* What a way came to in an earlier round (adapt_more.c). */
struct earlier {
	int round;
	const char *way, *folder; /* its name then, and where its files lie; borrowed of the state, or the way's */
	size_t n, rows_train; /* rows that it answered; 0: it was not measured. Rows that it learnt from */
	double score, quality, low, high;
	double look_seconds, look_joules, find_seconds, write_seconds;
};

enum { SEEDS_MOST = 10, FOLDER = 400 };

/* A training of a way with a seed of its own. */
struct seed {
	double make_seconds, make_joules;
	struct estimate score[GOAL_TERMS];
};

/* A rung on this ladder: climb.ways has the same place. */
struct way {
	const struct rung *rung;
	char *name;            /* the rung's, and @LABEL where there are several models */
	struct given *on;      /* NULL: it stands on none */
	const char *judged_by; /* the measured way that its belief stands on; NULL: priors alone */
	struct rung_price price;
	char why[400]; /* that it cannot be; else "" */
	/* Measured on the choose rows, of which it answered n: */
	struct outcome *out;
	size_t n;
	double make_seconds, make_joules, look_seconds, look_joules, latency;
	double find_seconds;               /* of look_seconds, in which documents were looked for */
	double write_seconds;              /* and in which answers were written */
	struct estimate score[GOAL_TERMS]; /* of the goal's scores, by their place in it */
	struct bounds promised;            /* of the first score: holds for all ways at all looks together, 95 % */
	struct bounds looked;              /* of the first score: at all looks, 90 % */
	struct seed seeds[SEEDS_MOST];     /* where several may be tried: with them make_seconds are of all */
	int n_seeds, chosen;               /* out is the chosen one's */
	bool no_more_seeds;
	struct earlier earlier;
};

/* Files of rows that came later, each of which began a round. */
struct more {
	const char *asked; /* that is to be added now, or NULL */
	struct rows *files;
	size_t n_files;
	size_t *begins, n;   /* of each, where its rows begin among all */
	size_t n_new, known; /* of the one that is added: rows that were not there, and those that were */
};

/* The way that was tested last before the rows of this round came, and what it comes to in this round's test. */
struct before {
	int round; /* 0: there is none */
	size_t way;
	const char *folder;    /* of what answers; borrowed of the state */
	const json_t *results; /* of that round; borrowed */
	size_t rows_train;
	double use_seconds;
	struct outcome *tested;
	struct estimate score, gain; /* of the way that is left now over it, on the same rows */
};

/* What more rows to learn from would bring (adapt_worth.c), in the score, of a perplexity in nats. */
struct worth {
	size_t by; /* the way whose curve it is */
	struct curve_point points[8];
	size_t n; /* 0: by the priors */
	bool no_floor, falls;
	struct span gain;
};

struct adapt {
	struct app *app;
	struct adapt_options o;
	char *dir;
	int lock;
	bool asks_only; /* its rows have no answers; they are judged by a reward */
	struct rows rows, test_rows;
	struct rows all; /* of --data, and those that came later; borrowed but for the list */
	struct more more;
	struct before before;
	struct rung_price kept; /* of what was chosen before */
	struct task task;
	struct known known;
	struct priors priors;
	struct goal goal; /* as asked for, or what stands for it */
	bool has_goal;
	bool scores_alone; /* rows with answers, of which a goal counts only how likely the right one is */
	const struct goal_term *first; /* the score that is climbed by */
	size_t first_at;               /* its place in the goal */
	struct given models[MODELS_MOST];
	size_t n_models;
	json_t *notes; /* of the state: what was decided once for the run */
	struct ladder ladder;
	struct way *ways;
	int name_width;
	struct adapt_documents documents;
	struct adapt_reward reward;
	struct climb climb;
	size_t *choose, n_choose, *test, n_test;
	size_t n_opened, n_spent; /* test rows that were opened before: tested again, or left out */
	int test_look;
	double test_alpha; /* that one side of the test's interval may be wrong */
	json_t *state;     /* adapt.json */
	long looks;
	struct gas_limit limit;
	size_t at_work; /* the way whose rung works, for the line of progress; climb.n: none */
	const char *doing;
	/* The end: */
	size_t winner;
	struct outcome *tested;
	struct estimate test_score[GOAL_TERMS];
	struct bounds test_bounds[GOAL_TERMS];
	const char *verdict;
	char why_verdict[400];
	struct worth worth;
};

/* Quality of a score, more is better (ladder/climb.h); and back. */
double adapt_quality(enum measure m, double score);
double adapt_score_of(enum measure m, double quality);
bool adapt_is_measured(const struct adapt *a, size_t i);
/* "0.745 (0.68 to 0.80)"; until the next call but three */
const char *adapt_score_text(double mean, double low, double high);
/* What an answer of a measured way takes, of the costs of a goal; and how that is told, until the next call. */
double adapt_cost_of(const struct adapt *a, size_t i, enum measure m);
const char *adapt_cost_text(enum measure m, double x);
/* All that all processes of the run have taken; of this round. */
void adapt_gas(const struct adapt *a, struct gas *g);
void adapt_round_gas(const struct adapt *a, struct gas *g);
double adapt_watts(const struct adapt *a); /* joules a second so far; NAN: not known */
/* Seconds that may still be spent before the test. */
double adapt_left(const struct adapt *a);
/* So many seconds of it are kept back from what begins now. */
void adapt_keep_back(const struct adapt *a, double seconds);

/* The ladder stands on the model of a way; and the path of that, for who must name one. */
void adapt_stand_on(struct adapt *a, size_t i);
const char *adapt_model_of(const struct adapt *a, size_t i);

/* adapt_models.c: which models, and which ways of each. */
int adapt_give_model(struct adapt *a, const char *path, struct err *e);
int adapt_open_models(struct adapt *a, struct err *e);
void adapt_close_models(struct adapt *a);
int adapt_check_rungs(const struct adapt *a, struct err *e);
void adapt_read_notes(struct adapt *a); /* of the state, for the run and for each model */
/* Refuses perplexities that cannot be compared. */
int adapt_compare_tokens(struct adapt *a, struct err *e);
void adapt_make_ways(struct adapt *a);
/* After them: what was chosen before, by the name of its way. Its place. */
size_t adapt_add_kept(struct adapt *a, const char *way);
void adapt_free_ways(struct adapt *a);
void adapt_list_rungs(void);

/* adapt_documents.c: of --documents. Close it in any case. */
int adapt_documents_open(struct adapt_documents *d, struct app *app, const struct sources_options *o, struct ladder *l,
                         struct err *e);
void adapt_documents_close(struct adapt_documents *d);

/* A file's rows; those that ask only, where somebody judges, as task_blank has them. */
int adapt_load_file(struct adapt *a, struct rows *r, const char *path, struct err *e);

/* adapt_reward.c: of --reward-model and --reward-command: nothing where neither is given. Close it in any case. */
const char *adapt_reward_contradiction(const struct reward_options *o);
int adapt_reward_open(struct adapt_reward *r, struct app *app, const struct reward_options *o, struct ladder *l,
                      struct err *e);
void adapt_reward_close(struct adapt_reward *r);

/* adapt_state.c: adapt.json, written after every step. */
int adapt_state_new(struct adapt *a, struct err *e);
int adapt_state_save(struct adapt *a, const char *status, struct err *e);
int adapt_save_outcomes(const struct adapt *a, const char *name, const struct outcome *out, size_t n, struct err *e);
/* Of a round. Their number; 0: there is no such file, or it is not whole. */
size_t adapt_load_outcomes(const struct adapt *a, int round, const char *name, struct outcome *out, size_t most);
void adapt_keep_way(struct adapt *a, size_t i);
/* What earlier processes knew of each way. */
int adapt_recall(struct adapt *a, struct err *e);
json_t *adapt_decisions(struct adapt *a); /* borrowed */

/* adapt_more.c: rows that came later, each file of them a round. */
int adapt_round(const struct adapt *a);                      /* from 1 */
char *adapt_rungs(int round);                                /* where its files lie in DIR; mem_free */
char *adapt_way_dir(const struct adapt *a, const char *way); /* of this round; mem_free */
size_t adapt_processes_before(const struct adapt *a);        /* of earlier rounds */
int adapt_more_load(struct adapt *a, struct err *e);         /* makes a->all */
void adapt_more_release(struct adapt *a);
int adapt_more_begin(struct adapt *a, struct err *e); /* a round of the rows that are added */
void adapt_keep_rows(struct adapt *a);                /* which they are, in adapt.json */
void adapt_choose_test(struct adapt *a);              /* rows that may be tested with */
void adapt_say_test(const struct adapt *a);
void adapt_more_recall(struct adapt *a); /* what ways came to in earlier rounds */
void adapt_say_more(const struct adapt *a);
/* Of a way that more rows do not change: rows whose answers stay; 0: it is made anew. */
size_t adapt_stays(const struct adapt *a, size_t i);
int adapt_take_over(struct adapt *a, size_t i, const char *dir, struct err *e); /* what it made */
size_t adapt_take_outcomes(const struct adapt *a, size_t i, struct outcome *out);
int adapt_test_before(struct adapt *a, struct err *e); /* what was left before, on the same test rows */
void adapt_put_more(const struct adapt *a, json_t *summary);
void adapt_say_bought(const struct adapt *a, struct buf *out);

/* adapt_past.c: beliefs by what earlier runs on this machine came to. */
void adapt_learn_from_past(struct adapt *a);

/* adapt_climb.c */
int adapt_price(struct adapt *a, struct err *e);
void adapt_believe(struct adapt *a); /* what is thought of ways that were not tried, as it is known now */
int adapt_climb_all(struct adapt *a, struct err *e);
void adapt_judge(struct adapt *a, size_t i); /* scores of what it answered */
/* What so many more rows to learn from should bring of its quality, by the priors' curve with its `half` so many times
 * as large. */
double adapt_rows_gain(const struct adapt *a, size_t i, double more, double halves);
/* After it: two ways as one, where that is better. */
int adapt_cascade(struct adapt *a, struct err *e);
void adapt_say_known(const struct adapt *a);
void adapt_say_prices(const struct adapt *a);

/* adapt_end.c */
int adapt_test(struct adapt *a, struct err *e);
void adapt_verdict(struct adapt *a);
int adapt_leave(struct adapt *a, struct err *e);
/* How rows are asked, as artefact.json has it, or NULL. */
const char *adapt_how_asked(const struct adapt *a);
json_t *adapt_summary(struct adapt *a);
void adapt_put_gas(const struct adapt *a, json_t *summary);
json_t *adapt_table(const struct adapt *a);                   /* a list of a line a way */
void adapt_sentences(const struct adapt *a, struct buf *out); /* a line each */

/* adapt_seeds.c: ways that are trained with several seeds. */
const char *adapt_folder(const struct adapt *a, size_t i); /* of what answers; until the next call but three */
bool adapt_has_seeds(const struct adapt *a, size_t i);
/* Scores and intervals of a way that has them; alphas are of both sides together: of looks at it, of all ways. */
void adapt_judge_seeds(struct adapt *a, size_t i, double alpha, double alpha_all);
void adapt_first_seed(struct adapt *a, size_t i);
int adapt_try_seed(struct adapt *a, size_t i, struct err *e);
void adapt_keep_seeds(const struct adapt *a, size_t i, json_t *j);
void adapt_recall_seeds(struct adapt *a, size_t i, const json_t *j);
void adapt_put_seeds(const struct adapt *a, size_t i, json_t *row);
void adapt_say_seeds(const struct adapt *a, struct buf *out);

/* adapt_worth.c: what more rows would be worth. */
int adapt_worth(struct adapt *a, struct err *e);
void adapt_put_worth(const struct adapt *a, json_t *summary);
void adapt_say_worth(const struct adapt *a, struct buf *out);

/* adapt_page.c */
void adapt_show(const struct adapt *a);
int adapt_write_page(const struct adapt *a, struct err *e);

#endif
