/* task: rows as a ladder of ways sees them: what each asks, what its answer is, which class that is, on which side it
 * stands; and what came of answering some of them, as scores with their bounds.
 *
 *     choices     query,choices,gold: of some choices one is right; classes where all rows have the same choices
 *     answers     prompt,completion, messages, …: an answer is written; classes where few different ones come again
 *                 and again
 *     labels      text,label, …: one label a row, of a model with a head
 *     texts       text alone: perplexity */
#ifndef LADDER_TASK_H
#define LADDER_TASK_H

#include "data/split.h"
#include "eval/statistics.h"
#include "ladder/bound.h"
#include "ladder/goal.h"

enum task_kind { TASK_CHOICES, TASK_ANSWERS, TASK_LABELS, TASK_TEXTS };

struct task_row {
	struct row row;     /* json borrowed */
	const char *text;   /* what it asks */
	const char *answer; /* what is right; NULL of texts */
	int class;          /* index into task.classes; −1: none */
	uint64_t key;       /* of text, as split_key has it */
	enum side side;
	int came, since; /* the row itself, and the first of what asks the same: 0 at first, 1, … later */
	bool repeated;   /* another row asks the same */
};

struct task {
	struct arena mem;
	const struct shape *shape;
	enum task_kind kind;
	struct task_row *rows;
	size_t n;
	const char **classes; /* [n_classes] in the order of their first choice, or sorted; none: 0 */
	int n_classes;
	size_t *class_rows; /* [n_classes] */
	size_t side_n[SIDE_NONE + 1];
	bool asks_only; /* no row has an answer, whatever stands in its place */
	size_t n_leaks; /* rows left out, as they ask what a test row asks */
	char hash[33];  /* of what the rows and their sides are */
};

/* Of rows, and of those to test with where they are another file (else NULL). Both stay open as long as the task. */
int task_open(struct task *t, const struct rows *rows, const struct rows *test, const struct split_options *o,
              struct err *e);
/* The same of rows that have no answers, but something in their place (task_blank). */
int task_open_asked(struct task *t, const struct rows *rows, const struct rows *test, const struct split_options *o,
                    struct err *e);
/* Rows that ask only get something in the place of an answer, so that they are asked as others are. Is it so? */
bool task_blank(struct rows *rows);
void task_release(struct task *t);
/* −1 and a sentence where all rows have one answer. */
int task_check_classes(const struct task *t, struct err *e);
/* Indexes of the rows of a side, in order; mem_free. */
size_t *task_side(const struct task *t, enum side side, size_t *n);
/* The score of a measure can be measured on these rows; else why not. */
int task_measures(const struct task *t, enum measure m, struct err *e);
/* What is climbed by where nobody says. */
enum measure task_usual_measure(const struct task *t);

/* --- what is known before --- */

struct known {
	size_t n_repeated, n_groups,
		n_conflicting; /* rows that ask what another asks; such groups; with unlike answers */
	/* No way that answers the same to the same can be right more often on these rows: 1 where nothing is repeated
	 * with another answer. */
	double ceiling;
	/* Of rows that are repeated: how often two of them agree; NAN where there are none. */
	double agreement;
	double majority; /* the share of the most frequent class; NAN: there are none */
	const char *majority_class;
	double mean_bytes, longest_bytes;
	size_t least_class; /* rows of the rarest class */
	const char *least_class_name;
};
void task_known(const struct task *t, struct known *k);

/* --- what came of answering --- */

/* A row answered. NAN and −1: not measured. */
struct outcome {
	double hit, hit_norm, exact, f1; /* 0…1 */
	double logprob, tokens;          /* of the right answer */
	double confidence, chance;       /* in what was said; of what is right: 0…1 */
	double reward;                   /* of the answer, by whoever judges it; any number */
	int said;                        /* class; −1: none of them, or there are no classes */
};
extern const struct outcome outcome_none;

/* A score with its standard error, of n outcomes of rows at[i]. n is 0 where it was not measured. */
struct estimate task_score(const struct task *t, enum measure m, const size_t *at, const struct outcome *out, size_t n);
/* Of a measure that is a mean of rows, one of them; NAN of others. */
double task_value(const struct task *t, enum measure m, const struct outcome *o);
/* By how much `now` is better than `before` on the same rows: a perplexity in −ln of it, else in the score itself. */
struct estimate task_gain(const struct task *t, enum measure m, const size_t *at, const struct outcome *before,
                          const struct outcome *now, size_t n);
/* One look: each side holds with probability 1 − alpha. */
struct bounds task_bounds(enum measure m, const struct estimate *x, double alpha);
/* Many looks. */
struct bounds task_sequence(enum measure m, const struct estimate *x, double alpha);
/* The chance that one look at n_test other rows shows the goal. */
double task_chance(const struct goal_term *g, const struct estimate *x, size_t n_test, double alpha);

#endif
