/* generate_samples: --n answers to one prompt, which is computed once; each with a stream of random numbers of its own,
 * so that the first one is the answer that there is without --n. */
#include <math.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/metering.h"
#include "cmd/generate/generate_parts.h"

struct several {
	struct app *app;
	struct generation *answers;    /* [n] */
	struct metering_request **requests; /* [n] */
	json_t **gas;                  /* [n] what each took, or NULL */
	size_t prompt_tokens;
	double operations, int_ops;
	size_t n, done;
	double began;
	struct extract *extract;       /* of --self-consistency, or NULL */
};

static void begun(void *ctx, int64_t i)
{
	struct several *s = ctx;
	s->requests[i] = metering_request_open();
}

static int take(void *ctx, int64_t i, struct generation *g, struct err *e)
{
	struct several *s = ctx;
	(void)e;
	s->operations += g->flops + g->int_ops;
	s->int_ops += g->int_ops;
	s->gas[i] = json_object();
	metering_request_close(s->requests[i],
	                       &(struct request_counts){ i, (int64_t)s->prompt_tokens, (int64_t)g->ids.n,
	                                                 g->flops, g->int_ops, g->share },
	                       s->gas[i]);
	s->requests[i] = NULL;
	s->answers[i] = *g;
	*g = (struct generation){ 0 };
	s->done++;
	return 0;
}

static int tell(void *ctx, size_t tokens)
{
	struct several *s = ctx;
	double seconds = clock_seconds() - s->began;

	if (seconds > 2)
		log_live("%zu of %zu answers, %zu tokens, %.1f tokens/s  %s", s->done, s->n, tokens,
		         (double)tokens / seconds, metering_live());
	return app_interrupted();
}

/* Which answer the most come down to; as text what it came down to. */
static void tell_vote(const struct several *s, json_t *summary)
{
	char **said = mem_array(s->n, sizeof(*said));
	struct buf text = BUF_INIT;

	for (size_t i = 0; i < s->n; i++) {
		const struct generation *g = &s->answers[i];
		buf_clear(&text);
		if (extract_answer(s->extract, buf_str(&g->text), g->text.len, &text))
			said[i] = mem_strndup(buf_str(&text), text.len);
	}
	buf_release(&text);
	struct vote best = vote(said, s->n);
	const char *answer = best.votes ? said[best.first] : NULL;
	json_object_set_new(summary, "answer", answer ? json_string(answer) : json_null());
	json_object_set_new(summary, "votes", json_integer((json_int_t)best.votes));
	json_object_set_new(summary, "agreement", json_real((double)best.votes / (double)s->n));
	if (!s->app->json && answer)
		app_print("=== %zu of %zu say: %s\n", best.votes, s->n, answer);
	else if (!s->app->json)
		app_print("=== none of %zu says anything that --extract finds\n", s->n);
	for (size_t i = 0; i < s->n; i++)
		mem_free(said[i]);
	mem_free(said);
}

static int show(struct several *s, struct generate_context *placed, size_t prompt_tokens, struct guarding *guarding,
                struct err *e)
{
	double seconds = clock_seconds() - s->began;
	size_t tokens = 0;

	log_live_end();
	for (size_t i = 0; i < s->n; i++) {
		struct generation *g = &s->answers[i];
		tokens += g->ids.n;
		if (guarding_answer(guarding, "an answer", g, e) < 0)
			return -1;
		if (s->app->json) {
			json_t *j = generation_json(g);
			json_object_set_new(j, "index", json_integer((json_int_t)i));
			json_object_update(j, s->gas[i]);
			app_json(j);
			json_decref(j);
		} else {
			app_print("--- %zu of %zu (%s)\n", i + 1, s->n, finish_name(g->finish));
			app_text(buf_str(&g->text), g->text.len);
			app_print("\n");
		}
	}
	if (!s->app->json)
		log_say("%zu tokens of prompt, computed once; %zu answers of %zu tokens, %.1f tokens/s; %s",
		        prompt_tokens, s->n, tokens, (double)tokens / seconds, s->app->compute);
	json_t *j = json_pack("{s:I, s:I, s:I, s:f}", "answers", (json_int_t)s->n, "prompt_tokens",
	                      (json_int_t)prompt_tokens, "new_tokens", (json_int_t)tokens, "seconds", seconds);
	json_object_set_new(j, "tokens_per_second", jsonx_number((double)tokens / seconds));
	json_object_set_new(j, "peak_rss_bytes", json_integer((json_int_t)mem_rss_peak()));
	if (s->extract)
		tell_vote(s, j);
	generate_context_tell(placed, s->app, (double)prompt_tokens, (double)tokens, j);
	metering_count((int64_t)prompt_tokens, (int64_t)tokens, -1, s->operations, s->int_ops);
	app_summary(s->app, j);
	return 0;
}

int generate_several(struct app *app, struct generate_command *o, struct loaded *l, const struct tokens *prompt,
                     struct err *e)
{
	struct several several = { .app = app, .n = (size_t)o->n, .prompt_tokens = prompt->n };
	struct sampler pattern;

	if (o->self_consistency > 1 && extract_new(&several.extract, o->extract ? o->extract : "whole", e) < 0)
		return -1;
	if (sampling_begin(&o->sampling, (size_t)l->model.config.V, &pattern, e) < 0) {
		extract_free(several.extract);
		return -1;
	}
	struct generate_listener listener = { begun, take, tell, &several };
	struct generate_prompt *prompts = mem_array(several.n, sizeof(*prompts));
	for (size_t i = 0; i < several.n; i++)
		prompts[i] = (struct generate_prompt){ prompt->id, prompt->n, (uint32_t)i, 0 };
	several.answers = mem_array(several.n, sizeof(*several.answers));
	several.requests = mem_array(several.n, sizeof(*several.requests));
	several.gas = mem_array(several.n, sizeof(*several.gas));
	metering_phase("generate");
	app_catch_signals();
	int status = generate_planned(app, o, l, &pattern, prompts, several.n, e);
	several.began = clock_seconds();
	generate_context_begin(&o->placed);
	if (status == 0 &&
	    (status = generate_batch(app, o, l, prompts, several.n, &pattern, &listener, e)) > 0)
		status = err_set(e, "interrupted after %zu of %zu answers", several.done, several.n);
	if (status == 0)
		status = show(&several, &o->placed, prompt->n, &o->guarding, e);
	for (size_t i = 0; i < several.n; i++) {
		generation_release(&several.answers[i]);
		mem_free(several.requests[i]);
		json_decref(several.gas[i]);
	}
	mem_free(several.answers);
	mem_free(several.requests);
	mem_free(several.gas);
	mem_free(prompts);
	extract_free(several.extract);
	sampling_release(&pattern);
	return status;
}
