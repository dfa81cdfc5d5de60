/* openai_labels: what a model that classifies says of texts, or of pairs of them: what moderations and ranking ask of
 * the engine. A text that is too long is refused, never cut. */
#include "serve/openai_parts.h"

#include "data/enclosed.h"
#include "infer/labeller.h"

static int begin(struct readout *x, struct err *e)
{
	const struct openai_options *o = &x->s->o;
	const struct overlay *over = x->m == o->moderation ? o->moderation_overlay :
	                             x->m == o->model && !o->adapters ? o->overlay : NULL;
	struct labeller *l = NULL;

	x->width = (size_t)x->m->labels->n;
	if (labeller_new(&l, x->m, over, o->device, PART_TOKENS, x->m->config.n_ctx, e) < 0)
		return -1;
	x->reader = l;
	return 0;
}

static int run(struct readout *x, const struct document *const *list, size_t n, float *out, struct err *e)
{
	return labeller_run(x->reader, list, n, out, NULL, NULL, e);
}

static void end(void *reader) { labeller_free(reader); }

static const struct readout_kind labels = { .begin = begin, .run = run, .free = end };

struct readout *labels_new(struct openai *s, struct model *m, const char *model, size_t n)
{
	struct readout *x = readout_new(s, &labels, m, model, n);

	x->charged = x->model;
	return x;
}

int labels_text(struct readout *x, size_t i, const json_t *text, const json_t *pair, const char *param,
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
	x->tokens += (size_t)x->docs[i].n;
	tokens_release(&e.ids);
	return r->status >= 400 ? -1 : 0;
}
