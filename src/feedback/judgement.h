/* judgement: labels as they are counted: who said what of which thing.
 *
 *     comparison   of two answers of an item one is better, or neither: from a ranking, else from the winner (who
 *                  beats all others), tie or both bad; else from ratings, the higher one is better. A skipped item says
 *                  nothing
 *     judgement    a value that a rater gave to a unit, for agreement:
 *
 *     compare, correct   the unit is the item; the value is the answer that won, or a tie
 *     rank               the unit is a pair of the item's answers; the value is which of them is better, or a tie
 *     rate               the unit is an answer; the value is its rating
 *     label              the unit is the item; the value is the class
 *
 * Sides are no part of a value. Where all answers name models, items are one unit that have the same prompt and the
 * same models, whichever stood left, and a value is a place among the models, sorted by their names; else items are
 * one that have the same key (where it is not the hash of their bytes; the same prompt then) and the same answers, and
 * places are those of the answers, sorted by their bytes. Both bad is a tie; a slight preference is one. A label that
 * repeats an earlier one of the same rater is left out: it tells of the rater, not of agreement. */
#ifndef FEEDBACK_JUDGEMENT_H
#define FEEDBACK_JUDGEMENT_H

#include "feedback/store.h"

/* What a feedback file holds, as the store gives it: by ids, ascending. */
struct said {
	const struct feedback_study *study;
	const struct feedback_item *items;
	size_t n_items;
	const struct feedback_label *labels;
	size_t n_labels;
	struct feedback_states states;  /* for heads.h; none are needed here */
};

/* The place of an item, or a label, by its id; −1, NULL: not there. */
ptrdiff_t said_item(const struct said *s, int64_t id);
const struct feedback_label *said_label(const struct said *s, int64_t id);

struct comparison {
	size_t item, label;             /* places in what was said */
	int8_t a, b;                    /* answers, a < b */
	double won;                     /* by a: 1, 0, or ½ of a tie */
	int8_t first;                   /* 1: a stood before b, 0: b before a, −1: not known */
};

/* Of answers a and b of an item: 1 where a label says that a is better, 0: b, ½: neither; NAN: it does not say. */
double label_outcome(const struct feedback_item *it, const struct feedback_label *l, int a, int b);
/* The share of what a repeat says that is what the first label said; NAN: they cannot be compared. */
double said_again(const struct said *s, const struct feedback_label *first, const struct feedback_label *again);
/* In the order of labels, in mem. */
size_t comparisons_of(const struct said *s, struct arena *mem, struct comparison **out);

/* prompt: [n_items] the number of each item's prompt, equal ones alike, from 0; returns how many there are. */
size_t said_prompts(const struct said *s, size_t *prompt);
/* The median of seconds that labels took, skipped ones not; NAN: none is known. */
double said_seconds(const struct said *s);

struct judgement { int32_t unit, rater, value; };

struct judgements {
	struct judgement *at;           /* by units, in a unit as they were saved */
	size_t n, *first;               /* [n_units + 1] where a unit's begin */
	size_t *label;                  /* [n] the label that each is of, its place in what was said */
	int32_t n_units, n_raters, n_values;
	const double *values;           /* [n_values] ascending: a rating; else 0, 1, 2 … */
	const int64_t *raters;          /* [n_raters] ids, ascending */
	int32_t tie;                    /* the value of a tie, or FEEDBACK_NONE */
	int32_t *item_unit;             /* [n_items] the unit of an item, the first of several; −1: not judged */
	int8_t (*place)[FEEDBACK_ANSWERS]; /* [n_items] the value that each answer's winning has */
};

/* In mem. */
void judgements_of(struct judgements *j, const struct said *s, struct arena *mem);
/* The place of a rater by his id; −1: he judged nothing. */
ptrdiff_t judgements_rater(const struct judgements *j, int64_t id);

#endif
