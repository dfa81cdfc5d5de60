/* sampler_top_p: the fewest likeliest whose share reaches p (Holtzman et al. 2019). 1 leaves all, 0 the likeliest. */
#include "infer/sampler.h"

struct options { double p; };

static const struct opt opts[] = {
	OPT_FLOAT("top-p", struct options, p, "1", 0, 1, "only the likeliest tokens that together reach this share"),
	OPT_END
};

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct options *o = options;

	if (o->p >= 1)
		return n;
	float most = sampler_largest(s, n);
	return sampler_keep_share(s, n, s->logit, o->p, most, sampler_total(s, n, most));
}

const struct sampler_step sampler_top_p = {
	.name = "top_p",
	.order = 30,
	.llama_order = 30,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
};
