/* generate_sources: a prompt with its sources, and afterwards which of them the answer rests on (eval/grounding.h). */
#include <string.h>

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

	struct meter_span span;
	metering_phase("retrieve");
	metering_open_span(&span);
	int status = loaded_text(l, e) < 0 ? -1 : sources_open(&s, &o->documents, app, l->model.tokenizer, false, e);
	if (status == 0)
		status = make_texts(g, &s, question, o->documents.citations, e);
	answer_gas_add(&g->gas, PART_RETRIEVAL, &span);
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
	citations_release(&g->grounding);
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
	double answers = g->answers ? (double)g->answers : 1;
	predict_phase(p, "citations", answers * (f.seconds + (double)f.bytes / f.touch_rate));
	predict_operations(p, p->flops + p->int_ops + answers * f.flops, p->int_ops + answers * f.int_ops);
	p->spare_seconds += answers * f.seconds / 2;
	*work += f.bytes;
	return 0;
}

/* --- after it --- */

int generate_sources_ground(struct generate_sources *g, struct loaded *l, struct app *app, const struct tokens *answer,
                            struct err *e)
{
	struct meter_span span;

	if (g->n < 2)
		return 0;
	metering_phase("citations");
	metering_open_span(&span);
	int status = citations_measure(&g->grounding, &l->model, loaded_overlay(l), app->device, g->prompts, g->n - 1,
	                               answer, e);
	answer_gas_add(&g->gas, PART_CITATIONS, &span);
	return status;
}

void generate_sources_show(const struct generate_sources *g, const struct generate_command *o)
{
	if (!g->found)
		return;
	sources_show(g->found);
	if (o->documents.citations)
		citations_show(&g->grounding, &o->documents, g->found);
	answer_gas_show(&g->gas, 1);
}

void generate_sources_put(const struct generate_sources *g, const struct generate_command *o, json_t *j)
{
	if (!g->found)
		return;
	json_object_set(j, "sources", g->found);
	json_object_set_new(j, "retrieval_seconds", json_real(g->gas.seconds[PART_RETRIEVAL]));
	if (o->documents.citations) {
		citations_put(&g->grounding, &o->documents, g->found, j);
		json_object_set_new(j, "citation_seconds", json_real(g->gas.seconds[PART_CITATIONS]));
	}
	answer_gas_put(&g->gas, 1, j);
}
