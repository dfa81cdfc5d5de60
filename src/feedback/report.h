/* report: all that labels say, in one place: what `feedback show` prints, what the owner's page shows. */
#ifndef FEEDBACK_REPORT_H
#define FEEDBACK_REPORT_H

#include <jansson.h>

#include "feedback/agreement.h"
#include "feedback/bias.h"
#include "feedback/noise.h"
#include "feedback/raters.h"
#include "feedback/standings.h"

struct report {
	size_t items, labels, skipped;  /* labels that stand; skipped ones are not among them */
	size_t several, unanimous;      /* units judged more than once; in which all said the same */
	enum measurement measurement;   /* of alpha */
	struct bounds alpha, percent, fleiss;
	struct cohen *cohen;
	size_t n_cohen;
	const int64_t *judges;          /* ids of the raters that cohen's numbers mean */
	struct rater_facts *raters;
	size_t n_raters;
	struct standings standings, davidson;   /* n 0: items name no models; davidson: n 0 without ties */
	struct bias bias;
	struct noise noise;
	double seconds, seconds_per_label; /* of all labels whose time is known; their median, NAN */
	size_t timed;                   /* labels whose time is known */
	double money;                   /* seconds at the study's wage, NAN: no wage */
};

/* In mem; names and items are borrowed. */
void report_of(struct report *out, const struct said *s, const struct feedback_rater *raters, size_t n_raters,
               const struct resample *r, struct arena *mem);
/* The same as the page's interface has it (GET /api/report), numbers or null; owned by the caller. */
json_t *report_json(const struct report *r);

#endif
