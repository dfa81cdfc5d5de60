/* sampler_temperature: logit / temperature, the largest at 0 first; at 0 the likeliest token is taken. */
#include <math.h>

#include "infer/sampler.h"

struct options { double temperature; };

static const struct opt opts[] = {
	OPT_FLOAT("temperature", struct options, temperature, "0", 0, 100,
	          "0: always the likeliest token; 1: as the model says"),
	OPT_END
};

static bool greedy(const void *options)
{
	const struct options *o = options;
	return !(o->temperature > 0);
}

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct options *o = options;
	float most = sampler_largest(s, n);

	if (isinf(most))
		return sampler_keep_one(s, n);
	for (size_t i = 0; i < n; i++)
		s->logit[s->id[i]] = (float)((s->logit[s->id[i]] - most) / o->temperature);
	return n;
}

const struct sampler_step sampler_temperature = {
	.name = "temperature",
	.order = 10,
	.llama_order = 50,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
	.greedy = greedy,
};
