/* combination: what several tensors of one shape become: a sum with weights, after some numbers were taken out and
 * signs agreed upon. One tensor is what one task changed (a difference of weights, a LoRA's factor).
 *
 *     linear            Σ wᵢ·xᵢ
 *     ties              of each tensor the largest numbers alone (density: which share), then of every number the
 *                       sign that most have; those with another are left out (Yadav et al. 2023)
 *     dare              of each tensor random numbers alone, divided by the density (Yu et al. 2024)
 *     magnitude_prune   of each tensor the largest numbers alone
 *
 * PEFT's add_weighted_adapter and mergekit differ after that, and both are here: PEFT takes the sign of Σ xᵢ and
 * divides by how many agree (peft/utils/merge_utils.py); mergekit takes the sign of Σ wᵢ·xᵢ and, where it
 * normalizes, divides by the weights of those that agree (merge_methods/generalized_task_arithmetic.py; its newer
 * scaling of what is left by a norm is not here, but the paper's, by the density). */
#ifndef ADAPT_COMBINATION_H
#define ADAPT_COMBINATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/opt.h"

enum combination_keep { KEEP_ALL, KEEP_LARGEST, KEEP_RANDOM };
enum combination_of { OF_FACTORS, OF_PRODUCT, OF_CONCATENATION, OF_MODELS_ALONE };

struct combination {
	const char *name;              /* "dare_ties_svd" */
	const char *summary;
	enum combination_keep keep;
	bool elects;                   /* signs are agreed upon */
	/* of LoRAs: their A and their B each by itself, B·A (as factors again by a singular value decomposition), or
	 * all beside each other */
	enum combination_of of;
	bool models;                   /* whole models can be combined so */
	bool standard;
};

bool combination_rows(size_t i, struct opt_row *out);   /* the table, for OPT_PICK */
const struct combination *combination_find(const char *name);

enum combination_rules { RULES_PEFT, RULES_MERGEKIT };

struct combining {
	const struct combination *how;
	enum combination_rules rules;
	double density;                /* the share that is kept, (0,1]; 1: all */
	bool by_frequency;             /* the sign that more tensors have, not that of the sum */
	bool normalize;                /* RULES_MERGEKIT: divided by the sum of weights */
	uint64_t seed;                 /* of KEEP_RANDOM; with the tensor's number and the number's place */
};

/* Takes out of x [n] what is not kept: of equal sizes the first stay. stream: which random numbers. order: [n] scratch
 * of KEEP_LARGEST, else NULL. */
void combination_prune(const struct combining *c, float *x, size_t n, uint64_t stream, uint32_t *order);
/* out[j] of the tensors' x[i][j], pruned before; out may be one of them. */
void combination_sum(const struct combining *c, const float *const *x, const double *weight, size_t n_tensors,
                     size_t n, float *out);
/* Between a and b by the angle between them, t from 0 to 1 (mergekit's slerp): a straight line where they lie almost in
 * one direction. out may be either. */
void combination_slerp(const float *a, const float *b, double t, size_t n, float *out);

#endif
