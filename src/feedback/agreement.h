/* agreement: do raters who judge the same thing say the same, and by how much more than chance would.
 *
 *     percent       the share of the others' judgements of a unit that equal one, over all
 *     Krippendorff  α = 1 − D_o/D_e; D_o is the mean squared difference inside units, of a judgement to the
 *                   other m − 1 of its unit, D_e that of all judgements whatever their unit. Differences are
 *                   0 or 1 (nominal), of mid-ranks (ordinal) or of the values (interval). Units with one
 *                   judgement do not count, a missing one is no judgement (Krippendorff 2011)
 *     Fleiss        κ = (P − Σ p²)/(1 − Σ p²), P the mean over units of the share of equal pairs, p the
 *                   shares of the values (Fleiss 1971; units may have different numbers of judgements)
 *     Cohen         κ of two raters, over what both judged: chance is that of their own shares (Cohen 1960)
 *
 * Intervals are of the bootstrap over units. NAN where nothing tells: no unit was judged by two raters, or all said
 * the same, in which chance agrees as well. */
#ifndef FEEDBACK_AGREEMENT_H
#define FEEDBACK_AGREEMENT_H

#include "feedback/judgement.h"
#include "feedback/resample.h"

enum measurement { NOMINAL, ORDINAL, INTERVAL };

/* What a question asks for: ratings are ordinal, all else nominal. */
enum measurement agreement_measurement(enum feedback_ask ask);

struct bounds agreement_percent(const struct judgements *j, const struct resample *r);
struct bounds krippendorff_alpha(const struct judgements *j, enum measurement m, const struct resample *r);
struct bounds fleiss_kappa(const struct judgements *j, const struct resample *r);

struct cohen {
	int32_t a, b;                   /* raters, a < b */
	size_t units;                   /* that both judged */
	double agree;                   /* the share in which they said the same */
	struct bounds kappa;
};
/* Of all pairs of raters with a unit in common, in mem; a rater's first judgement of a unit counts. */
size_t cohen_kappas(const struct judgements *j, const struct resample *r, struct arena *mem, struct cohen **out);

/* Units that were judged more than once, and those in which all say the same. */
void agreement_units(const struct judgements *j, size_t *several, size_t *unanimous);

#endif
