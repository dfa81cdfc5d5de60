/* objective_sft: the next token of what is to be learnt (all of a text, answers and completions alone otherwise).
 *
 *     loss = −Σ weight · log p(token | those before it in its document) / Σ weight      over the pairs of the global
 * batch
 *
 * The gradient of the unscaled sum is taken by token_logprob itself; the division comes with the update, so that no
 * split of the global batch shows. Preference rows are for other objectives. */
#include "train/objective.h"

static bool sft_accepts(const struct shape *s)
{
	return !s->roles[0];
}

static uint32_t sft_record(struct graph *g)
{
	return graph_logprob(g, graph_hidden(g));
}

static double sft_loss(const struct batch *b, const float *logprob)
{
	double sum = 0;
	for (int32_t i = 0; i < b->n_labels; i++)
		sum -= (double)b->label_weight[i] * logprob[i];
	return sum;
}

const struct objective objective_sft = {
	.name = "sft",
	.summary = "the next token of texts and answers",
	.standard = true,
	.accepts = sft_accepts,
	.wants = "text, messages, conversations, instruction,output, prompt,completion or query,choices,gold",
	.record = sft_record,
	.loss = sft_loss,
};
