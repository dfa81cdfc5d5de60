/* sampler_penalties: for every token that was seen among the last so many
 *
 *     repetition           logit > 0 ? logit / penalty : logit · penalty       (Keskar et al. 2019); 0 and 1: off
 *     frequency, presence  logit −= count · frequency + presence               (OpenAI) */
#include "base/mem.h"
#include "infer/sampler.h"

struct options {
	double repetition, frequency, presence;
	int64_t last;              /* how many tokens are looked back at; below 0: all */
};

static const struct opt opts[] = {
	{ OPT_TYPE_FLOAT, "repetition-penalty", "repeat-penalty", offsetof(struct options, repetition), "1", 0.01, 100,
	  NULL, "X", "divides the logits of tokens that were there; 1: off" },
	OPT_FLOAT("frequency-penalty", struct options, frequency, "0", -100, 100,
	          "taken from a token's logit each time that it was there"),
	OPT_FLOAT("presence-penalty", struct options, presence, "0", -100, 100,
	          "taken from a token's logit once when it was there"),
	OPT_INT("repeat-last-n", struct options, last, "-1", -1, 1 << 24,
	        "tokens that penalties look back at, the prompt's too; -1: all"),
	OPT_END
};

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct options *o = options;
	bool repeats = o->repetition > 0 && o->repetition != 1;
	size_t back = o->last < 0 ? s->n_seen : MIN(s->n_seen, (size_t)o->last);

	if ((!repeats && o->frequency == 0 && o->presence == 0) || back == 0)
		return n;
	const int32_t *seen = s->seen + (s->n_seen - back);
	for (size_t i = 0; i < back; i++)
		s->count[seen[i]]++;
	for (size_t i = 0; i < back; i++) {
		double count = s->count[seen[i]], x = s->logit[seen[i]];
		if (count == 0)
			continue; /* done already */
		if (repeats)
			x = x > 0 ? x / o->repetition : x * o->repetition;
		s->logit[seen[i]] = (float)(x - count * o->frequency - o->presence);
		s->count[seen[i]] = 0;
	}
	return n;
}

const struct sampler_step sampler_penalties = {
	.name = "penalties",
	.logits = true,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
};
