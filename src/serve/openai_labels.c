/* openai_labels: what a model that classifies says of texts, or of pairs of them: what moderations and ranking ask of
 * the engine. A text that is too long is refused, never cut. */
#include "serve/openai_parts.h"

#include "base/mem.h"
#include "data/enclosed.h"
#include "infer/labeller.h"

enum { LABEL_TOKENS = 1024 };

void labelling_free(struct labelling *x)
{
	charge_release(x->s, &x->charge);
	arena_release(&x->mem);
	mem_free(x->docs);
	mem_free(x->list);
	mem_free(x->model);
	json_decref(x->own);
	mem_free(x);
}

struct labelling *labelling_new(struct openai *s, struct model *m, const char *model, size_t n)
{
	struct labelling *x = mem_alloc(sizeof(*x));

	*x = (struct labelling){ .s = s, .m = m, .model = mem_strdup(model), .n = n, .mem = ARENA_INIT };
	x->docs = mem_array(n, sizeof(*x->docs));
	x->list = mem_array(n, sizeof(struct document *));
	return x;
}

int labelling_text(struct labelling *x, size_t i, const json_t *text, const json_t *pair, const char *param,
                   struct http_reply *r)
{
	struct enclosed e = { .text = json_string_value(text), .n = json_string_length(text),
		              .pair = pair ? json_string_value(pair) : NULL, .n_pair = json_string_length(pair) };
	struct err err = ERR_INIT;
	int most = x->m->config.n_ctx;

	if (enclose(&e, x->m->tokenizer, (size_t)most, &err) < 0)
		openai_error(r, 400, "invalid_value", param, "%s", err.msg);
	else if (e.cut)
		openai_error(r, 400, "context_length_exceeded", param,
		             "This model reads %d tokens at most, and text %zu has %zu more", most, i, e.cut);
	else
		enclosed_document(&x->docs[i], &x->mem, &e, x->m->config.arch->encoder);
	x->docs[i].second = model_types(x->m) > 1 ? e.second : 0;
	x->list[i] = &x->docs[i];
	x->tokens += (size_t)x->docs[i].n;
	tokens_release(&e.ids);
	return r->status >= 400 ? -1 : 0;
}

/* The engine's thread. */
static void label(void *ctx)
{
	struct labelling *x = ctx;
	const struct openai_options *o = &x->s->o;
	const struct overlay *over = x->m == o->model && !o->adapters ? o->overlay : NULL;
	struct http_reply r = { 0 };
	struct labeller *labeller;
	struct err e = ERR_INIT;
	float *z = mem_array(x->n * (size_t)x->m->labels->n, sizeof(*z));

	if (o->open_span)
		o->open_span(&x->span);
	int status = labeller_new(&labeller, x->m, over, o->device, MAX(LABEL_TOKENS, x->m->config.n_ctx),
	                          x->m->config.n_ctx, &e);
	if (status == 0) {
		status = labeller_run(labeller, x->list, x->n, z, NULL, NULL, &e);
		labeller_free(labeller);
	}
	gas_none(&x->gas);
	if (o->read_span)
		o->read_span(&x->span, &x->gas);
	x->gas.tokens_in = (int64_t)x->tokens;
	tokens_charge(x->s, &x->charge, x->model, x->tokens, &x->gas);
	if (status == 0)
		openai_reply(&r, x->reply(x, z));
	else
		openai_error(&r, 500, "server_error", NULL, "%s", e.msg);
	openai_later(x->s, x->later, NULL, &r, false);
	mem_free(z);
	labelling_free(x);
}

void labelling_start(struct labelling *x, const struct http_request *q,
                     json_t *(*reply)(struct labelling *x, const float *z))
{
	struct http_reply r = { 0 };

	x->reply = reply;
	x->later = http_later(q);
	if (!tokens_hold(x->s, &x->charge, x->tokens, &r)) {
		openai_count_refused(x->s);
		openai_later(x->s, x->later, NULL, &r, false);
		labelling_free(x);
		return;
	}
	engine_do(x->s->o.engine, label, x);
}
