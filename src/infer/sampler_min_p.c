/* sampler_min_p: those with at least min_p of the likeliest one's probability (Nguyen et al. 2024). */
#include <math.h>

#include "infer/sampler.h"

struct options { double p; };

static const struct opt opts[] = {
	OPT_FLOAT("min-p", struct options, p, "0", 0, 1,
	          "only tokens with this share of the likeliest one's probability"),
	OPT_END
};

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct options *o = options;
	size_t kept = 0;

	if (!(o->p > 0))
		return n;
	double least = sampler_largest(s, n) + log(o->p);
	for (size_t i = 0; i < n; i++)
		if (s->logit[s->id[i]] >= least)
			s->id[kept++] = s->id[i];
	return kept ? kept : sampler_keep_one(s, n);
}

const struct sampler_step sampler_min_p = {
	.name = "min_p",
	.order = 40,
	.llama_order = 40,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
};
