/* generate_sources: a prompt with its sources, and afterwards which of them the answer rests on (eval/grounding.h). */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/generate/generate_parts.h"

/* --- before the answer --- */

/* texts[0] has all sources, those after it lack one each. */
static int make_texts(struct generate_sources *g, struct sources *s, const struct buf *question, bool cites,
                      struct err *e)
{
	g->texts = mem_array(s->n_hits + 2, sizeof(*g->texts));
	int status = sources_text(s, buf_str(question), question->len, &g->texts[0], &g->found, e);

	g->n = 1;
	if (status < 0 || !cites)
		return status;
	g->texts = mem_grow(g->texts, s->n_hits + 2, sizeof(*g->texts));
	memset(g->texts + 1, 0, (s->n_hits + 1) * sizeof(*g->texts));
	for (size_t i = 0; i < s->n_hits && status == 0; i++, g->n++)
		status = sources_text_without(s, buf_str(question), question->len, i, &g->texts[g->n], e);
	return status;
}

int generate_sources_open(struct generate_sources *g, struct app *app, const struct generate_command *o,
                          struct loaded *l, const struct buf *question, struct err *e)
{
	struct sources s = { 0 };

	metering_phase("retrieve");
	int status = loaded_text(l, e) < 0 ? -1 : sources_open(&s, &o->documents, app, l->model.tokenizer, e);
	if (status == 0)
		status = make_texts(g, &s, question, o->citations, e);
	g->seconds = s.seconds;
	if (status == 0)
		g->prompts = mem_array(g->n, sizeof(*g->prompts));
	sources_close(&s);
	return status;
}

void generate_sources_close(struct generate_sources *g)
{
	for (size_t i = 0; i < g->n; i++) {
		buf_release(&g->texts[i]);
		if (g->prompts)
			tokens_release(&g->prompts[i]);
	}
	mem_free(g->texts);
	mem_free(g->prompts);
	mem_free(g->grounding.support);
	json_decref(g->found);
	*g = (struct generate_sources){ 0 };
}

int generate_sources_predict(const struct generate_sources *g, const struct generate_command *o, struct loaded *l,
                             struct app *app, struct predicted *p, size_t *work, struct err *e)
{
	struct scorer_forecast f;

	if (g->n < 2)
		return 0;
	if (grounding_forecast(&f, &l->model, loaded_overlay(l), app->device, g->prompts, g->n - 1,
	                       (size_t)o->sampling.max_new_tokens, e) < 0)
		return err_prefix(e, "--citations");
	predict_phase(p, "citations", f.seconds + (double)f.bytes / f.touch_rate);
	predict_operations(p, p->flops + p->int_ops + f.flops, p->int_ops + f.int_ops);
	p->spare_seconds += f.seconds / 2;
	*work += f.bytes;
	return 0;
}

/* --- after it --- */

int generate_sources_ground(struct generate_sources *g, struct loaded *l, struct app *app, const struct tokens *answer,
                            struct err *e)
{
	struct tokens said = { 0 };
	double began = clock_seconds();
	int status = 0;

	for (size_t i = 0; i < answer->n; i++)
		if (i + 1 < answer->n || !tokenizer_is_special(l->model.tokenizer, answer->id[i]))
			tokens_add(&said, answer->id[i]);
	metering_phase("citations");
	if (g->n > 1 && said.n)
		status = grounding_measure(&g->grounding, &l->model, loaded_overlay(l), app->device, g->prompts,
		                           g->n - 1,
		                           &said, e);
	g->grounding_seconds = clock_seconds() - began;
	tokens_release(&said);
	return status < 0 ? err_prefix(e, "--citations") : 0;
}

static bool is_cited(const struct generate_command *o, const struct estimate *x)
{
	return x->low > o->citation_threshold;
}

static const char *id_of(const struct generate_sources *g, size_t i)
{
	return json_string_value(json_object_get(json_array_get(g->found, i), "id"));
}

void generate_sources_show(const struct generate_sources *g, const struct generate_command *o)
{
	size_t cited = 0;

	if (!g->found)
		return;
	sources_show(g->found);
	for (size_t i = 0; i < g->grounding.n; i++) {
		const struct estimate *x = &g->grounding.support[i];
		if (!is_cited(o, x))
			continue;
		log_say("the answer rests on [%zu] %s: %.1f nats likelier with it than without (95 %%: %.1f to %.1f)",
		        i + 1,
		        id_of(g, i), x->mean, x->low, x->high);
		cited++;
	}
	if (g->grounding.n && !cited)
		log_say("no support in the documents: without each of them the answer is as likely");
}

void generate_sources_put(const struct generate_sources *g, const struct generate_command *o, json_t *j)
{
	if (!g->found)
		return;
	json_t *citations = json_array();
	for (size_t i = 0; i < g->grounding.n; i++) {
		const struct estimate *x = &g->grounding.support[i];
		json_t *one = json_pack("{s:I, s:s, s:b}", "number", (json_int_t)i + 1, "id", id_of(g, i), "cited",
		                        (int)is_cited(o, x));
		put_estimate(one, "support", x);
		json_array_append_new(citations, one);
	}
	json_object_set(j, "sources", g->found);
	json_object_set_new(j, "retrieval_seconds", json_real(g->seconds));
	if (o->citations) {
		json_object_set(j, "citations", citations);
		json_object_set_new(j, "citation_seconds", json_real(g->grounding_seconds));
	}
	json_decref(citations);
}
