/* goal: what a way must reach, as a person writes it: "accuracy>=0.9 and latency<=200ms".
 *
 * Scores are measured on rows (ladder/task.h) and shown by an interval; costs are what one answer takes. A goal has
 * one score at least; the first of them is the one that the ladder climbs by. */
#ifndef LADDER_GOAL_H
#define LADDER_GOAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum measure {
	MEASURE_ACCURACY,
	MEASURE_ACC_NORM,
	MEASURE_EXACT_MATCH,
	MEASURE_F1,
	MEASURE_REWARD,
	MEASURE_PERPLEXITY, /* scores */
	MEASURE_LATENCY,
	MEASURE_MEMORY,
	MEASURE_JOULES, /* costs of an answer */
	MEASURES,
	MEASURE_SCORES = MEASURE_LATENCY
};
extern const char *const measure_names[]; /* "accuracy", …, "joules_per_answer" */
bool measure_is_score(enum measure m);
bool measure_is_share(enum measure m);   /* a mean of zeros and ones: Wilson's interval is its own */
bool measure_is_bounded(enum measure m); /* between 0 and 1 */

enum { GOAL_TERMS = 8 };

struct goal_term {
	enum measure what;
	bool at_least;
	double value;
};

struct goal {
	struct goal_term term[GOAL_TERMS];
	size_t n; /* 0: there is none, the best for the gas is wanted */
};

/* Refuses what is no goal, or cannot be one, in a sentence. */
int goal_parse(struct goal *g, const char *text, struct err *e);
/* "accuracy >= 0.9"; until the next call but three */
const char *goal_term_text(const struct goal_term *t);
/* Is x as wanted? NAN never is. */
bool goal_term_met(const struct goal_term *t, double x);
/* The score that is climbed by; NULL without one. */
const struct goal_term *goal_score(const struct goal *g);

#endif
