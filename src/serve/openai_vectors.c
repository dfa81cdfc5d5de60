/* openai_vectors: texts or token ids as vectors, pooled as the model's files say: what embeddings, Ollama's too, and
 * ranking by likeness ask of the engine. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

enum { INPUTS = 2048 };

/* Of a text, or of token ids as they are. */
static void read_input(struct readout *x, const json_t *one, size_t i, bool may_cut, struct http_reply *r)
{
	const struct tokenizer *t = x->m->tokenizer;
	int V = x->m->config.V;
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
		const char *prompt = embed_settings_prompt(&x->how, NULL, &e);
		if (prompt) {
			embed_settings_text(&x->how, prompt, json_string_value(one), json_string_length(one), &text);
			embed_document(&x->docs[i], &x->mem, t, buf_str(&text), text.len, x->how.max_length, &cut, &e);
		}
	}
	buf_release(&text);
	if (*e.msg)
		openai_error(r, 400, "invalid_value", "input", "%s", e.msg);
	else if (cut && !may_cut)
		openai_error(r, 400, "context_length_exceeded", "input",
		             "This model embeds %d tokens at most, and input %zu has %zu more",
		             x->how.max_length, i, cut);
	else if (!x->docs[i].n)
		openai_error(r, 400, "invalid_value", "input", "input %zu has no token", i);
}

json_t *vector_json(const float *v, size_t width)
{
	json_t *list = json_array();

	for (size_t i = 0; i < width; i++)
		json_array_append_new(list, jsonx_number((double)v[i]));
	return list;
}

static int begin(struct readout *x, struct err *e)
{
	const struct openai_options *o = &x->s->o;
	struct embed_options how = { .max_tokens = PART_TOKENS,
		                     .max_length = x->how.max_length,
		                     .pooling = x->how.pooling,
		                     .normalize = x->how.normalize };
	struct embedder *embedder = NULL;

	/* beside adapters that are asked for by name it is the model alone */
	if (embedder_new(&embedder, o->model, o->adapters ? NULL : o->overlay, o->device, &how, e) < 0)
		return -1;
	x->reader = embedder;
	x->width = embedder_width(embedder);
	return 0;
}

static int run(struct readout *x, const struct document *const *list, size_t n, float *out, struct err *e)
{
	return embedder_run(x->reader, list, n, out, NULL, NULL, e);
}

static void end(void *reader) { embedder_free(reader); }

static const struct readout_kind vectors = { .begin = begin, .run = run, .free = end };

/* How many texts input has; 0 and a refusal. one: it is itself one. */
static size_t count_inputs(const json_t *input, bool *one, struct http_reply *r)
{
	*one = json_is_string(input) || (json_is_array(input) && json_is_integer(json_array_get(input, 0)));
	size_t n = *one ? 1 : json_array_size(input);
	if (n > 0 && n <= INPUTS)
		return n;
	openai_error(r, 400, "invalid_value", "input",
	             "'input' is a text, texts, token ids or lists of them, 1 to %d of them", INPUTS);
	return 0;
}

static int read_inputs(struct readout *x, const json_t *input, bool one, bool may_cut, struct http_reply *r)
{
	for (size_t i = 0; i < x->n; i++) {
		const json_t *item = one ? input : json_array_get(input, i);
		if (!json_is_string(item) && !json_is_array(item))
			openai_error(r, 400, "invalid_type", "input", "input %zu is neither a text nor token ids", i);
		else
			read_input(x, item, i, may_cut, r);
		if (r->status >= 400)
			return -1;
		x->tokens += (size_t)x->docs[i].n;
	}
	return 0;
}

struct readout *vectors_read(struct openai *s, const char *model, const json_t *input, bool may_cut,
                             struct http_reply *r)
{
	struct embed_settings how = { 0 };
	struct err e = ERR_INIT;
	bool one;
	size_t n;

	if (s->o.adapters && adapters_find(s->o.adapters, model) >= 0)
		openai_error(r, 400, "unsupported_value", "model",
		             "'%.100s' is an adapter: vectors are the model's own", model);
	else if (s->o.labels_alone)
		openai_error(r, 400, "unsupported_value", "model", "This model says labels; it is asked by chat");
	else if (embed_settings_read(&how, s->o.model, &e) < 0)
		openai_error(r, 400, "unsupported_value", "model", "%s", e.msg);
	else if ((n = count_inputs(input, &one, r)) > 0) {
		struct readout *x = readout_new(s, &vectors, s->o.model, model, n);
		x->how = how;
		if (read_inputs(x, input, one, may_cut, r) == 0)
			return x;
		readout_free(x);
		return NULL;
	}
	embed_settings_release(&how);
	return NULL;
}
