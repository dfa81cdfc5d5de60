/* openai_vectors: texts or token ids as vectors, pooled as the model's files say: what embeddings, Ollama's too, and
 * ranking by likeness ask of the engine. They come in parts, so that answers go on between these. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/mem.h"

enum { INPUTS = 2048 };

void embedding_free(struct embedding *x)
{
	charge_release(x->s, &x->charge);
	if (x->embedder)
		embedder_free(x->embedder);
	mem_free(x->vectors);
	arena_release(&x->mem);
	mem_free(x->docs);
	mem_free(x->list);
	mem_free(x->model);
	json_decref(x->own);
	sentence_release(&x->how);
	mem_free(x);
}

/* Of a text, or of token ids as they are. */
static int embedding_input(struct embedding *x, const json_t *one, size_t i, struct http_reply *r)
{
	const struct tokenizer *t = x->s->o.model->tokenizer;
	int V = x->s->o.model->config.V;
	struct buf text = BUF_INIT;
	struct err e = ERR_INIT;
	size_t cut = 0;

	if (json_is_array(one)) {
		size_t n = json_array_size(one);
		struct document *d = &x->docs[i];
		*d = (struct document){ .ids = arena_array(&x->mem, n, sizeof(*d->ids)),
			                .n = (int32_t)n,
			                .learn = arena_array(&x->mem, n, sizeof(*d->learn)) };
		for (size_t k = 0; k < n; k++) {
			const json_t *id = json_array_get(one, k);
			if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= V)
				err_set(&e, "'input' has something that is no token: 0 to %d was wanted", V - 1);
			d->ids[k] = (int32_t)json_integer_value(id);
			d->learn[k] = 1;
		}
		cut = n > (size_t)x->how.max_length ? n - (size_t)x->how.max_length : 0;
	} else {
		const char *prompt = sentence_prompt(&x->how, NULL, &e);
		if (prompt) {
			sentence_text(&x->how, prompt, json_string_value(one), json_string_length(one), &text);
			embed_document(&x->docs[i], &x->mem, t, buf_str(&text), text.len, x->how.max_length, &cut, &e);
		}
	}
	buf_release(&text);
	if (*e.msg)
		openai_error(r, 400, "invalid_value", "input", "%s", e.msg);
	else if (cut && !x->may_cut)
		openai_error(r, 400, "context_length_exceeded", "input",
		             "This model embeds %d tokens at most, and input %zu "
		             "has %zu more",
		             x->how.max_length, i, cut);
	else if (!x->docs[i].n)
		openai_error(r, 400, "invalid_value", "input", "input %zu has no token", i);
	return r->status >= 400 ? -1 : 0;
}

static int embedding_inputs(struct embedding *x, const json_t *input, struct http_reply *r)
{
	bool ids = json_is_array(input) && json_is_integer(json_array_get(input, 0)),
	     one = json_is_string(input) || ids;
	int status = 0;

	x->n = one ? 1 : json_array_size(input);
	if (x->n == 0 || x->n > INPUTS) {
		openai_error(r, 400, "invalid_value", "input",
		             "'input' is a text, texts, token ids or lists of them, 1 to %d "
		             "of them",
		             INPUTS);
		return -1;
	}
	x->docs = mem_array(x->n, sizeof(*x->docs));
	x->list = mem_array(x->n, sizeof(struct document *));
	for (size_t i = 0; i < x->n && status == 0; i++) {
		const json_t *item = one ? input : json_array_get(input, i);
		x->list[i] = &x->docs[i];
		if (!json_is_string(item) && !json_is_array(item)) {
			openai_error(r, 400, "invalid_type", "input", "input %zu is neither a text nor token ids", i);
			return -1;
		}
		status = embedding_input(x, item, i, r);
		x->tokens += (size_t)x->docs[i].n;
	}
	return status;
}

json_t *vector_json(const float *v, size_t width)
{
	json_t *list = json_array();

	for (size_t i = 0; i < width; i++)
		json_array_append_new(list, jsonx_number((double)v[i]));
	return list;
}

/* What was computed of it is charged, however it ended. */
static void embedding_told(struct embedding *x, const struct err *e)
{
	struct http_reply r = { 0 };

	x->gas.tokens_in = (int64_t)x->read;
	tokens_charge(x->s, &x->charge, NULL, x->read, &x->gas);
	if (*e->msg)
		openai_error(&r, 500, "server_error", NULL, "%s", e->msg);
	else if (x->done < x->n)
		openai_busy(x->s, &r, "The server ends");
	else
		openai_reply(&r, x->reply(x, x->vectors, embedder_width(x->embedder)));
	openai_later(x->s, x->later, NULL, &r, x->plain);
}

static int embed_begin(struct embedding *x, struct err *e)
{
	const struct openai_options *o = &x->s->o;
	struct embed_options how = { .max_tokens = PART_TOKENS,
		                     .max_length = x->how.max_length,
		                     .pooling = x->how.pooling,
		                     .normalize = x->how.normalize };

	/* beside adapters that are asked for by name it is the model alone */
	if (embedder_new(&x->embedder, o->model, o->adapters ? NULL : o->overlay, o->device, &how, e) < 0) {
		x->embedder = NULL;
		return -1;
	}
	x->vectors = mem_array(x->n * embedder_width(x->embedder), sizeof(*x->vectors));
	return 0;
}

size_t openai_part_end(const struct document *docs, size_t first, size_t n, size_t *tokens)
{
	size_t end = first;

	*tokens = 0;
	while (end < n && (end == first || *tokens + (size_t)docs[end].n <= PART_TOKENS))
		*tokens += (size_t)docs[end++].n;
	return end;
}

static int embed_part(struct embedding *x, struct err *e)
{
	struct meter_span span;
	size_t tokens, end = openai_part_end(x->docs, x->done, x->n, &tokens);

	part_open(x->s, &span);
	int status = embedder_run(x->embedder, x->list + x->done, end - x->done,
	                          x->vectors + x->done * embedder_width(x->embedder), NULL, NULL, e);
	part_read(x->s, &span, &x->gas);
	x->read += tokens;
	x->done = end;
	return status;
}

/* The engine's thread: some of them between two steps of answers, the rest after the next. */
static void embed(void *ctx)
{
	struct embedding *x = ctx;
	struct err e = ERR_INIT;
	bool ends = x->s->cut || http_later_left(x->later);

	if (!ends && (x->embedder || embed_begin(x, &e) == 0))
		embed_part(x, &e);
	if (!*e.msg && !ends && x->done < x->n) {
		engine_do(x->s->o.engine, embed, x);
		return;
	}
	embedding_told(x, &e);
	embedding_free(x);
}

struct embedding *embedding_read(struct openai *s, const char *model, const json_t *input, bool may_cut,
                                 struct http_reply *r)
{
	struct embedding *x = mem_alloc(sizeof(*x));
	struct err e = ERR_INIT;

	*x = (struct embedding){ .s = s, .mem = ARENA_INIT, .may_cut = may_cut };
	if (s->o.adapters && adapters_find(s->o.adapters, model) >= 0)
		openai_error(r, 400, "unsupported_value", "model",
		             "'%.100s' is an adapter: vectors are the model's own", model);
	else if (s->o.labels_alone)
		openai_error(r, 400, "unsupported_value", "model", "This model says labels; it is asked by chat");
	else if (sentence_read(&x->how, s->o.model, &e) < 0)
		openai_error(r, 400, "unsupported_value", "model", "%s", e.msg);
	else if (embedding_inputs(x, input, r) == 0) {
		x->model = mem_strdup(model);
		return x;
	}
	embedding_free(x);
	return NULL;
}

void embedding_start(struct embedding *x, const struct http_request *q,
                     json_t *(*reply)(struct embedding *x, const float *v, size_t width))
{
	struct http_reply r = { 0 };

	gas_none(&x->gas);
	x->reply = reply;
	x->came = clock_seconds();
	x->later = http_later(q);
	if (!tokens_hold(x->s, &x->charge, x->tokens, &r)) {
		openai_count_refused(x->s);
		openai_later(x->s, x->later, NULL, &r, x->plain);
		embedding_free(x);
		return;
	}
	engine_do(x->s->o.engine, embed, x);
}
