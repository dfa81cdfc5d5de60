/* sampler: from logits to a token. Order: temperature, top-k, top-p (as llama.cpp's and transformers' warpers compose with these three); temperature 0 is
 * greedy, ties go to the lowest id. Random numbers are rng(seed, RNG_SAMPLE, index). */
#ifndef INFER_SAMPLER_H
#define INFER_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

struct sampler {
	double temperature;      /* 0: greedy */
	int top_k;               /* 0: off */
	double top_p;            /* 1: off */
	uint64_t seed;
	uint64_t index;          /* tokens drawn so far */
	/* work space [V], from sampler_init */
	float *p;
	int32_t *order;
	size_t V;
};

void sampler_init(struct sampler *s, size_t V);
int32_t sampler_next(struct sampler *s, const float *logits);
/* log softmax of one entry, in double. */
double logits_logprob(const float *logits, size_t V, int32_t id);
void sampler_release(struct sampler *s);

#endif
