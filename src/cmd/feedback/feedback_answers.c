/* feedback_answers: answers that a model writes to rows without. They are drawn beside each other, of the given seed;
 * two that are equal are nothing to choose from, so for the second another one is drawn, ROUNDS times at most. Of
 * several adapters (--adapter NAME=PATH) each writes in turn. */
#include "cmd/feedback/feedback_new.h"

#include <string.h>

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

enum { ROUNDS = 4 };

struct writing {
	struct generate_command *o;
	struct draft *drafts;
	struct generate_prompt *prompts;
	size_t *of;                     /* the draft that each prompt is of */
	size_t n;
	size_t done;
	double operations, int_ops;
	int64_t read, written;          /* tokens */
	const char *model;
};

static char *who_wrote(const struct writing *w, int adapter)
{
	const struct named_adapters *a = &w->o->adapters;

	if (a->named)
		return mem_strdup(a->names[adapter]);
	return a->n ? mem_printf("%s + %s", w->model, io_basename(a->paths[0])) : mem_strdup(w->model);
}

static bool is_new(const struct draft *d, const char *answer)
{
	for (int i = 0; i < d->n; i++)
		if (!strcmp(d->answers[i], answer))
			return false;
	return *answer;
}

static int take(void *ctx, int64_t i, struct generation *g, struct err *e)
{
	struct writing *w = ctx;
	struct draft *d = &w->drafts[w->of[i]];

	(void)e;
	w->done++;
	w->operations += g->flops + g->int_ops;
	w->int_ops += g->int_ops;
	w->read += (int64_t)w->prompts[i].n;
	w->written += (int64_t)g->ids.n;
	if (is_new(d, buf_str(&g->text))) {
		d->answers[d->n] = mem_strdup(buf_str(&g->text));
		d->models[d->n++] = who_wrote(w, w->prompts[i].adapter);
	}
	return 0;
}

static int tell(void *ctx, size_t tokens)
{
	const struct writing *w = ctx;

	log_live("%zu of %zu answers, %zu tokens  %s", w->done, w->n, tokens, metering_live());
	return app_interrupted() || metering_over();
}

/* A stream for each answer that may be drawn. */
static uint32_t stream_of(size_t draft, int round, int k)
{
	return (uint32_t)((draft * ROUNDS + (size_t)round) * FEEDBACK_ANSWERS + (size_t)k);
}

/* What is still missing. */
static void plan(struct writing *w, size_t n, const struct tokens *ids, int wanted, int round)
{
	size_t adapters = w->o->adapters.named ? w->o->adapters.n : 1;

	w->n = w->done = 0;
	for (size_t i = 0; i < n; i++)
		for (int k = w->drafts[i].n; k < wanted; k++) {
			w->of[w->n] = i;
			w->prompts[w->n++] = (struct generate_prompt){
				ids[i].id, ids[i].n, stream_of(i, round, k), (int)((size_t)k % adapters),
			};
		}
}

static int write_all(struct app *app, struct writing *w, struct loaded *l, size_t n, const struct tokens *ids,
                     int wanted, struct err *e)
{
	struct generate_listener listener = { NULL, take, tell, w };
	struct sampler pattern;
	int status = sampling_begin(&w->o->sampling, (size_t)l->model.config.V, &pattern, e);

	if (status < 0)
		return -1;
	metering_phase("generate");
	for (int round = 0; round < ROUNDS && status == 0; round++) {
		plan(w, n, ids, wanted, round);
		if (w->n && (status = generate_batch(app, w->o, l, w->prompts, w->n, &pattern, &listener, e)) > 0)
			status = err_set(e, "interrupted after %zu of %zu answers", w->done, w->n);
	}
	log_live_end();
	metering_count(w->read, w->written, -1, w->operations, w->int_ops);
	sampling_release(&pattern);
	return status;
}

/* The ids that ask for each draft's answer; those that need none have none. */
static int encode(struct loaded *l, const struct generate_command *o, const struct draft *drafts, size_t n, int wanted,
                  struct tokens *ids, struct err *e)
{
	struct prompt_options how = { .system = o->system, .raw = o->raw };
	size_t limit = (size_t)overlays_context(loaded_overlay(l), &l->model);
	struct columns seen = { 0 };
	int status = loaded_prompts(l, &how, e);
	struct text_codec codec = { l->model.tokenizer, l->chat };

	for (size_t i = 0; i < n && status == 0; i++) {
		const struct row *r = drafts[i].row;
		struct row asked = { json_object(), r->file, r->line };

		if (drafts[i].n >= wanted) {
			json_decref(asked.json);
			continue;
		}
		for (const char *const *k = (const char *const[]){ "prompt", "messages", "tools", NULL }; *k; k++)
			json_object_set(asked.json, *k, json_object_get(r->json, *k));
		status = prompt_encode_row(&codec, &asked, &how, &ids[i], &seen, e);
		if (status < 0)
			err_prefix(e, "%s:%zu", r->file, r->line);
		else if (ids[i].n >= limit)
			status = err_set(e, "%s:%zu: the prompt has %zu tokens, the model's context holds %zu", r->file,
			                 r->line, ids[i].n, limit);
		json_decref(asked.json);
	}
	columns_release(&seen);
	return status;
}

static int open_model(struct app *app, struct generate_command *o, struct loaded *l, struct err *e)
{
	struct named_adapters *a = &o->adapters;

	if (generate_adapters(a, &o->adapter, e) < 0 ||
	    loaded_open_4bit(l, app, &o->four_bit, o->model, a->n && !a->named ? a->paths[0] : NULL, e) < 0)
		return -1;
	if ((!a->named || loaded_several(l, (const char *const *)a->names, a->paths, a->n, e) == 0) &&
	    model_compute(app, &l->model, o->compute, PREPARE_GENERATE, e) == 0)
		return 0;
	loaded_close(l);
	return -1;
}

int feedback_answers(struct app *app, struct generate_command *o, struct draft *drafts, size_t n, int wanted,
                     struct err *e)
{
	struct writing w = { .o = o, .drafts = drafts, .model = io_basename(o->model) };
	struct loaded l;

	if (open_model(app, o, &l, e) < 0) {
		named_adapters_release(&o->adapters);
		return -1;
	}
	struct tokens *ids = mem_array(n, sizeof(*ids));
	w.prompts = mem_array(n * (size_t)wanted, sizeof(*w.prompts));
	w.of = mem_array(n * (size_t)wanted, sizeof(*w.of));
	int status = encode(&l, o, drafts, n, wanted, ids, e);
	if (status == 0)
		status = write_all(app, &w, &l, n, ids, wanted, e);
	for (size_t i = 0; i < n; i++)
		tokens_release(&ids[i]);
	mem_free(ids);
	mem_free(w.prompts);
	mem_free(w.of);
	loaded_close(&l);
	named_adapters_release(&o->adapters);
	return status;
}
