/* trainer_sample: what the model writes at this moment, for whoever watches it learn. A session over the weights as
 * they are, or their average where that is what counts, taken for the text and given back; it is drawn at temperature
 * 0.8 by the run's seed, so a run that goes on writes the same. It begins with a prompt, or with what stands before
 * every document. */
#include <string.h>

#include "base/mem.h"
#include "infer/generate.h"
#include "train/trainer_parts.h"

enum { USUAL_TOKENS = 64 };

static int prompt_of(const struct trainer *t, struct tokens *ids, struct err *e)
{
	const struct tokenizer *k = t->model->tokenizer;
	const char *text = t->recipe.sample_prompt;

	tokenizer_begin(k, ids);
	if (text && tokenizer_encode(k, text, strlen(text), 0, ids, e) < 0)
		return err_prefix(e, "--sample-prompt");
	if (!ids->n && tokenizer_eos(k) >= 0) /* it stands before every document but the first */
		tokens_add(ids, tokenizer_eos(k));
	return ids->n ? 0 : err_set(e, "--sample-prompt TEXT was wanted: the tokenizer has no beginning of a text, and "
	                               "no end");
}

static int write(struct trainer *t, const struct tokens *ids, size_t most, struct generation *g, struct err *e)
{
	struct session_size size = { .n_ctx = MIN((int)(ids->n + most), t->model->config.n_ctx),
		                     .cache = { DTYPE_F32, DTYPE_F32 } };
	struct sampler_choice choice;
	struct sampler sampler = { .seed = (uint64_t)t->recipe.seed };
	struct session *s;

	if (session_new(&s, t->model, t->overlay, t->device, &size, e) < 0)
		return -1;
	sampler_choose(&choice);
	sampler_choice_set(&choice, "temperature", 0.8);
	sampler.steps = choice.steps;
	sampler_init(&sampler, (size_t)t->model->config.V);
	struct generate_options o = { .max_new_tokens = most, .sampler = &sampler };
	generate_ends(t->model, &o.end);
	int status = generate(s, t->model->tokenizer, ids->id, ids->n, &o, g, e);
	tokens_release(&o.end);
	sampler_release(&sampler);
	sampler_choice_release(&choice);
	session_free(s);
	return status;
}

int trainer_sample(struct trainer *t, struct buf *text, struct err *e)
{
	size_t most = t->recipe.sample_tokens ? (size_t)t->recipe.sample_tokens : USUAL_TOKENS;
	struct generation g = { 0 };
	struct tokens ids = { 0 };
	int status = prompt_of(t, &ids, e);

	if (!status) {
		bool shown; /* of averages, where those count */
		status = trainer_show(t, &shown, e);
		if (!status)
			status = write(t, &ids, most, &g, e);
		trainer_hide(t, shown);
	}
	if (!status) {
		t->sampled.flops += g.flops;
		t->sampled.int_ops += g.int_ops;
		buf_adds(text, t->recipe.sample_prompt ? t->recipe.sample_prompt : "");
		buf_add(text, buf_str(&g.text), g.text.len);
	}
	generation_release(&g);
	tokens_release(&ids);
	return status;
}
