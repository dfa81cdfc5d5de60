/* sampler_typical_p: those whose −log p is nearest to the entropy, until their share reaches p (Meister et al. 2022).
 *
 * −log p of the likeliest is small, of the others large; the typical ones have what is expected, H = −Σ p·log p.
 * 0 and 1 leave all. */
#include <math.h>

#include "infer/sampler.h"

struct options { double p; };

static const struct opt opts[] = {
	OPT_FLOAT("typical-p", struct options, p, "1", 0, 1,
	          "only the tokens nearest to what is expected, up to this share"),
	OPT_END
};

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct options *o = options;
	double entropy = 0;

	if (!(o->p > 0 && o->p < 1))
		return n;
	float most = sampler_largest(s, n);
	double total = sampler_total(s, n, most), log_total = log(total);
	for (size_t i = 0; i < n; i++) {
		double log_p = (double)s->logit[s->id[i]] - most - log_total;
		entropy -= isinf(log_p) ? 0 : exp(log_p) * log_p;
	}
	for (size_t i = 0; i < n; i++)
		s->key[s->id[i]] = (float)-fabs(log_total + most - (double)s->logit[s->id[i]] - entropy);
	return sampler_keep_share(s, n, s->key, o->p, most, total);
}

const struct sampler_step sampler_typical_p = {
	.name = "typical_p",
	.order = 50,
	.llama_order = 20,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
};
