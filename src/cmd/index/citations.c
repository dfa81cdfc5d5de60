/* citations: see citations.h. */
#include "cmd/index/citations.h"

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/columns.h"

/* --- what an answer rests on --- */

int citations_measure(struct grounding *g, struct model *m, const struct overlay *o, struct device *d,
                      const struct tokens *prompts, size_t n, const struct tokens *answer, struct err *e)
{
	struct tokens said = { 0 };
	int status = 0;

	*g = (struct grounding){ 0 };
	for (size_t i = 0; i < answer->n; i++)
		if (i + 1 < answer->n || !tokenizer_is_special(m->tokenizer, answer->id[i]))
			tokens_add(&said, answer->id[i]);
	if (n && said.n)
		status = grounding_measure(g, m, o, d, prompts, n, &said, e);
	tokens_release(&said);
	return status < 0 ? err_prefix(e, "--citations") : 0;
}

int citations_ask(const struct loaded *l, const struct row *r, const struct citations_how *how, struct tokens *ids,
                  struct err *e)
{
	const struct text_codec codec = { l->model.tokenizer, l->chat };
	struct columns seen = { 0 };
	struct buf text = BUF_INIT;
	int status;

	if (!how->shape) {
		status = prompt_encode_row(&codec, r, &how->prompt, ids, &seen, e);
	} else {
		bool raw = !json_is_array(json_object_get(r->json, "messages")) &&
		           !json_is_array(json_object_get(r->json, "conversations"));
		status = prompt_write_row(&codec, r, how->shape, &text, e);
		if (raw)
			tokenizer_begin(codec.tokenizer, ids);
		if (status == 0)
			status = tokenizer_encode(codec.tokenizer, buf_str(&text), text.len, raw ? 0 : TOKENIZE_SPECIAL,
			                          ids, e);
	}
	buf_release(&text);
	columns_release(&seen);
	return status;
}

int citations_encode(struct sources *s, const struct loaded *l, const struct row *r, size_t row,
                     const struct citations_how *how, struct tokens *prompts, size_t n, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		struct row without = *r;
		without.json = NULL;
		status = sources_row_without(s, r, row, i, &without.json, e);
		if (status == 0)
			status = citations_ask(l, &without, how, &prompts[i + 1], e);
		json_decref(without.json);
	}
	return status;
}

void citations_release(struct grounding *g)
{
	mem_free(g->support);
	*g = (struct grounding){ 0 };
}

static bool is_cited(const struct sources_options *o, const struct estimate *x)
{
	return x->low > o->citation_threshold;
}

static const char *id_of(const json_t *found, size_t i)
{
	return json_string_value(json_object_get(json_array_get(found, i), "id"));
}

void citations_show(const struct grounding *g, const struct sources_options *o, const json_t *found)
{
	size_t cited = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct estimate *x = &g->support[i];
		if (!is_cited(o, x))
			continue;
		log_say("the answer rests on [%zu] %s: %.1f nats likelier with it than without (95 %%: %.1f to %.1f)",
		        i + 1, id_of(found, i), x->mean, x->low, x->high);
		cited++;
	}
	if (g->n && !cited)
		log_say("no support in the documents: without each of them the answer is as likely");
	else if (!g->n)
		log_say("no support in the documents: nothing was found, or nothing was said");
}

void citations_put(const struct grounding *g, const struct sources_options *o, const json_t *found, json_t *j)
{
	json_t *list = json_array();
	bool supported = false;

	for (size_t i = 0; i < g->n; i++) {
		const struct estimate *x = &g->support[i];
		json_t *one = json_pack("{s:I, s:s, s:b}", "number", (json_int_t)i + 1, "id", id_of(found, i), "cited",
		                        (int)is_cited(o, x));
		put_estimate(one, "support", x);
		json_array_append_new(list, one);
		supported |= is_cited(o, x);
	}
	json_object_set_new(j, "citations", list);
	json_object_set_new(j, "supported", json_boolean(supported));
}

/* --- what it took --- */

void answer_gas_add(struct answer_gas *g, enum answer_part part, const struct meter_span *since)
{
	struct gas used;

	metering_read_span(since, &used);
	answer_gas_took(g, part, &used);
}

void answer_gas_answer(struct answer_gas *g, const struct meter_span *since, double reading, double writing)
{
	struct gas used;

	metering_read_span(since, &used);
	answer_gas_divide(g, &used, reading, writing);
}

void answer_gas_show(const struct answer_gas *g, double answers)
{
	struct buf line = BUF_INIT;
	char time[32], joules[32];

	for (int i = 0; i < ANSWER_PARTS; i++) {
		if (!(g->seconds[i] > 0))
			continue;
		buf_addf(&line, "%s%s %s", line.len ? "; " : "", answer_part_names[i],
		         predict_human(g->seconds[i] / answers, time));
		if (g->joules[i] > 0)
			buf_addf(&line, ", %s", gas_joules(g->joules[i] / answers, joules));
	}
	if (line.len)
		log_say("%s: %s", answers > 1 ? "an answer" : "of that", buf_str(&line));
	buf_release(&line);
}
