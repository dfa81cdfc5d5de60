/* generate_batch: prompts that are known from the start, answered beside each other: what --n and --out have in
 * common. */
#include "base/log.h"
#include "base/mem.h"
#include "cmd/generate/generate_parts.h"

size_t generate_shared(const struct generate_prompt *prompts, size_t n)
{
	size_t same = prompts[0].n - 1;

	for (size_t i = 1; i < n; i++) {
		same = prompts[i].adapter == prompts[0].adapter ? MIN(same, prompts[i].n - 1) : 0;
		for (size_t j = 0; j < same; j++)
			if (prompts[i].ids[j] != prompts[0].ids[j])
				same = j;
	}
	return same;
}

static struct session_size size_of(const struct generate_command *o, struct loaded *l,
                                   const struct generate_prompt *prompts, size_t n)
{
	size_t longest = 0;

	for (size_t i = 0; i < n; i++)
		longest = MAX(longest, prompts[i].n);
	size_t limit = (size_t)overlays_context(loaded_overlay(l), &l->model);
	int beside = (int)MIN(n, (size_t)o->parallel);
	return (struct session_size){ .n_ctx = (int)MIN(limit, longest + (size_t)o->sampling.max_new_tokens),
		                      .n_sequences = beside,
		                      .n_logits = beside * (1 + drafting_most(&o->draft)),
		                      .cache = cache_types(&o->cache) };
}

int generate_session(struct session **s, const struct app *app, const struct generate_command *o, struct loaded *l,
                     const struct generate_prompt *prompts, size_t n, struct err *e)
{
	struct session_size size = size_of(o, l, prompts, n);

	return session_new(s, &l->model, loaded_overlay(l), app->device, &size, e);
}

static int run(struct batcher *b, const struct generate_listener *listener, struct err *e)
{
	int status = 0;

	while (!status && batcher_busy(b)) {
		status = batcher_step(b, e);
		if (!status)
			status = listener->progress(listener->ctx, batcher_new_tokens(b));
	}
	return status;
}

static void tell_guesses(const struct app *app, const struct drafting *d)
{
	size_t guessed = 0, right = 0;

	if (d->drafter)
		drafter_counts(d->drafter, &guessed, &right);
	if (guessed && !app->json)
		log_say("%zu of %zu guessed tokens were right", right, guessed);
}

int generate_batch(const struct app *app, const struct generate_command *o, struct loaded *l,
                   const struct generate_prompt *prompts, size_t n, struct sampler *pattern,
                   const struct generate_listener *listener, struct err *e)
{
	struct batcher_request r = { .generate = generate_options_of(o, &l->model, pattern),
		                     .begun = listener->begun,
		                     .done = listener->done,
		                     .ctx = listener->ctx };
	struct session *s = NULL;
	struct drafting drafting = { 0 };
	struct session_size size = size_of(o, l, prompts, n);
	int status = n ? generate_session(&s, app, o, l, prompts, n, e) : 0;

	if (n && status == 0)
		status = drafting_open(&drafting, (struct app *)(uintptr_t)app, &o->draft, &l->model, &size, e);
	if (n && status == 0) {
		struct batcher *b = batcher_new(s, l->model.tokenizer, app->pool);
		batcher_limit(b, &(struct batcher_limits){ .drafter = drafting.drafter });
		for (size_t i = 0; i < n && status == 0; i++) {
			r.ids = prompts[i].ids;
			r.n = prompts[i].n;
			r.adapter = prompts[i].adapter;
			pattern->stream = prompts[i].stream;
			status = batcher_add(b, &r, e) < 0 ? -1 : 0;
		}
		if (status == 0)
			status = run(b, listener, e);
		batcher_free(b);
	}
	tell_guesses(app, &drafting);
	drafting_close(&drafting);
	session_free(s);
	tokens_release(&r.generate.end);
	return status;
}
