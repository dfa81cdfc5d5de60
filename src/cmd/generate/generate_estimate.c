/* generate_estimate: what answers will take, before the first token. A prompt's tokens and an answer's are timed on a
 * session of their own (session_time), which holds what the run's will hold; answers count as long as they may get, and
 * what would not come if all ended at once is told apart. */
#include <math.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cmd/generate/generate_parts.h"

enum { DRAWS = 3 };
#define NEW_WORDS \
	0.5 /* of an answer's tokens, those that were not there before: their rows of the embedding are read */

struct workload {
	/* tokens of prompts that go through the model, of answers; steps of answers */
	double fed, made, steps;
	size_t shared, longest;            /* tokens that all begin with; of the longest prompt */
	int beside;                        /* sequences that answer */
};

static struct workload count_work(const struct generate_prompt *p, size_t n, size_t at_once, size_t new_tokens)
{
	struct workload w = { .beside = (int)MIN(n, at_once), .shared = n > 1 ? generate_shared(p, n) : 0 };

	w.fed = (double)w.shared;
	for (size_t i = 0; i < n; i++) {
		w.fed += (double)(p[i].n - w.shared);
		w.longest = MAX(w.longest, p[i].n);
	}
	w.made = (double)n * (double)new_tokens;
	w.steps = ceil((double)n / w.beside) * (double)new_tokens;
	return w;
}

/* Seconds of a draw; the sampler is as it was afterwards. */
static double draw_seconds(struct sampler *s)
{
	float *logits = mem_array(s->V, sizeof(*logits));
	struct rng_key key = { 1, RNG_TEST };
	uint64_t index = s->index;

	for (size_t i = 0; i < s->V; i++)
		logits[i] = 4 * rng_normal(key, (uint32_t)i, 0, 0);
	double begin = clock_seconds();
	for (int i = 0; i < DRAWS; i++)
		sampler_next(s, logits);
	s->index = index;
	mem_free(logits);
	return (clock_seconds() - begin) / DRAWS;
}

static int predict_answers(struct predicted *p, struct session *s, const struct workload *w,
                           struct generate_context *placed, size_t *work, struct err *e)
{
	double read, step;
	struct work of_read, of_step;
	int limit = session_limit(s), rows = (int)fmin(fmin(w->fed, session_rows(s)), limit), length = (int)w->longest;
	int middle = (length + limit) / 2;
	size_t cache;

	if (session_time(s, 1, rows, MIN(MAX(length - rows, 0) / 2, limit - rows), &read, &of_read, e) < 0 ||
	    session_time(s, w->beside, 1, MIN(middle, limit - 1), &step, &of_step, e) < 0)
		return -1;
	placed->read_seconds = read / rows;
	placed->new_seconds = step / w->beside;
	predict_phase(p, "prompt", w->fed / rows * read);
	predict_phase(p, "answer", w->steps * step);
	p->spare_seconds = w->steps * step;
	predict_operations(p, w->fed / rows * of_read.flops + w->made / w->beside * of_step.flops,
	                   w->fed / rows * of_read.int_ops + w->made / w->beside * of_step.int_ops);
	session_bytes(s, work, &cache);
	*work += session_fill_bytes(s, w->beside, (int)w->shared, limit);
	return 0;
}

static void mark(uint8_t *token, const struct generate_prompt *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < p[i].n; j++)
			token[p[i].ids[j]] = 1;
}

int generate_planned(struct app *app, struct generate_command *o, struct loaded *l, struct sampler *sampler,
                     const struct generate_prompt *prompts, size_t n, struct err *e)
{
	size_t new_tokens = (size_t)o->sampling.max_new_tokens, work;
	struct workload w = count_work(prompts, n, (size_t)o->parallel, new_tokens);
	struct session *s;
	struct predicted p;

	if (generate_session(&s, app, o, l, prompts, n, e) < 0)
		return -1;
	predict_begin(&p, "generate %s %s", n > 1 ? "many" : "one", compute_name(l->model.compute));
	int status = predict_answers(&p, s, &w, &o->placed, &work, e);
	session_free(s);
	if (status == 0)
		status = generate_sources_predict(&o->sources, o, l, app, &p, &work, e);
	if (status < 0)
		return -1;
	uint8_t *token = mem_array((size_t)l->model.config.V, 1);
	mark(token, prompts, n);
	struct model_reads reads = { .token = token, .more_tokens = w.made * NEW_WORDS };
	predict_phase(&p, "start", loaded_predict(l, &p, &reads, work, 0, "activations, keys and values"));
	double drawing = w.made * draw_seconds(sampler) / fmin(w.beside, pool_threads(app->pool));
	in_context_predict(&o->placed.context, &p);
	predict_phase(&p, "drawing", drawing);
	p.spare_seconds = (p.spare_seconds + drawing) * (1 - 1 / (double)new_tokens);
	mem_free(token);
	return planned(app, &p, NULL, e);
}
