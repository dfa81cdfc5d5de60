/* adalora: what the files of AdaLoRA share: adapter_adalora.c (config, modules, how it is computed) and
 * adalora_ranks.c (what each rank is worth, and which go). */
#ifndef ADAPT_ADALORA_H
#define ADAPT_ADALORA_H

#include "adapt/adapter.h"
#include "base/pool.h"

/* Of a site's parameters. */
enum { ADALORA_A, ADALORA_E, ADALORA_B, ADALORA_PARTS };

struct adalora_site {
	int weight, param[ADALORA_PARTS];
	const char *module;
	size_t r, in, out;     /* r may be 0: nothing is left */
	float scale;
	/* of adapter.kept: the smoothed importance and uncertainty of each parameter's numbers, [r] 1 where a rank is
	 * kept */
	int importance[ADALORA_PARTS], uncertainty[ADALORA_PARTS], rank;
	/* of adalora.work: [r] what each rank is worth; [2][r,r] A·Aᵀ − I, Bᵀ·B − I */
	size_t worth, square;
	double norm[2];        /* theirs */
};

/* As PEFT's AdaLoraConfig has them. */
struct adalora_terms {
	double target_r, init_r, alpha, dropout, tinit, tfinal, deltaT, beta1, beta2, orthogonal;
};

struct adalora {
	struct adalora_site *sites;
	size_t n, ranks;       /* of all sites */
	int *site_of;          /* [n_weights + 1], −1 */
	struct adalora_terms terms;
	long steps;            /* of the run, 0: none is planned */
	float *work, *sorted;  /* [ranks] sorted */
};

/* adapter_type's plan, term and updated. */
int adalora_plan(struct adapter *a, long steps, struct err *e);
double adalora_orthogonal(struct adapter *a, float *g, double weight, const struct kernels *k, struct pool *p);
void adalora_updated(struct adapter *a, const struct adapter_update *u, struct pool *p);
/* Which ranks of a site are more than nothing: pattern [r]; how many. */
size_t adalora_pattern(const struct adapter *a, const struct adalora_site *s, bool *pattern);

#endif
