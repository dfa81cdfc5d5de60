/* openai_labels: what a model that classifies says of texts, or of pairs of them: what moderations and ranking ask of
 * the engine. They come in parts, so that answers go on between these. A text that is too long is refused, never
 * cut. */
#include "serve/openai_parts.h"

#include "base/mem.h"
#include "data/enclosed.h"
#include "infer/labeller.h"

void labelling_free(struct labelling *x)
{
	charge_release(x->s, &x->charge);
	if (x->labeller)
		labeller_free(x->labeller);
	mem_free(x->z);
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

static int label_begin(struct labelling *x, struct err *e)
{
	const struct openai_options *o = &x->s->o;
	const struct overlay *over = x->m == o->model && !o->adapters ? o->overlay : NULL;

	if (labeller_new(&x->labeller, x->m, over, o->device, PART_TOKENS, x->m->config.n_ctx, e) < 0) {
		x->labeller = NULL;
		return -1;
	}
	x->z = mem_array(x->n * (size_t)x->m->labels->n, sizeof(*x->z));
	return 0;
}

static int label_part(struct labelling *x, struct err *e)
{
	struct meter_span span;
	size_t tokens, end = openai_part_end(x->docs, x->done, x->n, &tokens);

	part_open(x->s, &span);
	int status = labeller_run(x->labeller, x->list + x->done, end - x->done,
	                          x->z + x->done * (size_t)x->m->labels->n, NULL, NULL, e);
	part_read(x->s, &span, &x->gas);
	x->read += tokens;
	x->done = end;
	return status;
}

/* What was computed of it is charged, however it ended. */
static void label_told(struct labelling *x, const struct err *e)
{
	struct http_reply r = { 0 };

	x->gas.tokens_in = (int64_t)x->read;
	tokens_charge(x->s, &x->charge, x->model, x->read, &x->gas);
	if (*e->msg)
		openai_error(&r, 500, "server_error", NULL, "%s", e->msg);
	else if (x->done < x->n)
		openai_busy(x->s, &r, "The server ends");
	else
		openai_reply(&r, x->reply(x, x->z));
	openai_later(x->s, x->later, NULL, &r, false);
}

/* The engine's thread: some of them between two steps of answers, the rest after the next. */
static void label(void *ctx)
{
	struct labelling *x = ctx;
	struct err e = ERR_INIT;
	bool ends = x->s->cut || http_later_left(x->later);

	if (!ends && (x->labeller || label_begin(x, &e) == 0))
		label_part(x, &e);
	if (!*e.msg && !ends && x->done < x->n) {
		engine_do(x->s->o.engine, label, x);
		return;
	}
	label_told(x, &e);
	labelling_free(x);
}

void labelling_start(struct labelling *x, const struct http_request *q,
                     json_t *(*reply)(struct labelling *x, const float *z))
{
	struct http_reply r = { 0 };

	gas_none(&x->gas);
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
