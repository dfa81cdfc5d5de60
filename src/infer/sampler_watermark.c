/* sampler_watermark: logit += bias of the tokens that are green after the one before (infer/watermark.h); the first of
 * a sequence has none before it. */
#include <string.h>

#include "infer/sampler.h"
#include "infer/watermark.h"

struct options { struct watermark mark; };

static const struct opt opts[] = { WATERMARK_OPTS(struct options, mark), OPT_END };

static size_t run(struct sampler *s, const void *options, size_t n)
{
	const struct watermark *w = &((const struct options *)options)->mark;

	if (w->hashing_key <= 0 || s->n_seen == 0)
		return n;
	size_t green = watermark_green(w, s->seen[s->n_seen - 1], s->V, s->count);
	for (size_t i = 0; i < green; i++)
		s->logit[s->count[i]] += (float)w->bias;
	memset(s->count, 0, s->V * sizeof(*s->count));
	return n;
}

const struct sampler_step sampler_watermark = {
	.name = "watermark",
	.order = 5,
	.llama_order = 5,
	.logits = true,
	.opts = opts,
	.options_size = sizeof(struct options),
	.run = run,
};
