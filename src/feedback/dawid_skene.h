/* dawid_skene: what is true of each unit, and how often each rater says it (Dawid & Skene 1979).
 *
 * A unit has a true value v with probability π_v; rater r then says w with probability C_r(v, w). From the shares
 * of votes expectation and maximisation by turns find C, π and each unit's posterior. A rater's reliability is
 * Σ_v π_v·C_r(v, v): how often he says what is true. Units that one rater alone judged tell nothing of him and are
 * left out; their posteriors are found afterwards, and a rater of whom nothing is known counts as raters do
 * together. */
#ifndef FEEDBACK_DAWID_SKENE_H
#define FEEDBACK_DAWID_SKENE_H

#include "feedback/judgement.h"

struct dawid_skene {
	size_t values;
	double *prior;                  /* [values] π */
	double *confusion;              /* [n_raters][values][values] C: true, said */
	double *posterior;              /* [n_units][values] */
	double *reliability;            /* [n_raters], NAN: no unit of his was judged by another */
	double likelihood;              /* its logarithm, of the units that count */
	int rounds;
};

/* In mem. smoothing: counts that each cell of C begins with; 0: as the paper has it. */
void dawid_skene(struct dawid_skene *d, const struct judgements *j, double smoothing, struct arena *mem);
/* −Σ p·ln p of a unit's posterior, in nats: how little is known of it. */
double unit_entropy(const struct dawid_skene *d, int32_t unit);

#endif
