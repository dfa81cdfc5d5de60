/* sampler_top_k: the k likeliest. */
#include "infer/sampler.h"

struct options { int64_t k; };

static const struct opt opts[] = {
	OPT_INT("top-k", struct options, k, "0", 0, 1 << 24, "only the K likeliest tokens; 0: all"),
	OPT_END
};

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct options *o = options;
	return o->k <= 0 || (size_t)o->k >= n ? n : sampler_keep_best(s, n, (size_t)o->k);
}

const struct sampler_step sampler_top_k = {
	.name = "top_k",
	.order = 20,
	.llama_order = 10,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
};
