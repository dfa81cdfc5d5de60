/* api_embed: kf_embed, a vector a text: what kungfu embed does, with an evaluator's threads and adapter. */
#include <string.h>

#include "api/handles.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "infer/embed.h"
#include "infer/embed_settings.h"

struct embedding {                    /* one call's */
	struct kf_evaluator *evaluator;
	struct call *call;
	struct embed_settings how;
	const char *prompt;
	struct arena mem;
	struct document *items;
	const struct document **docs;
	size_t n;
	int32_t longest;
};

static const char *wrong_options(const struct kf_embed_options *o, int32_t most)
{
	if (o->pooling && pooling_find(o->pooling) < 0)
		return "pooling: mean, cls, last or max was wanted";
	if (o->prompt && !utf8_valid(o->prompt, strlen(o->prompt), NULL))
		return "prompt: UTF-8 was wanted";
	if (o->normalize < -1 || o->normalize > 1)
		return "normalize: -1, 0 or 1 was wanted";
	if (o->max_length && (o->max_length < 1 || o->max_length > most))
		return "max_length: 1 to the model's context was wanted";
	return is_zero(o->reserved, sizeof(o->reserved)) ? NULL : "reserved must be zero";
}

static int settle(struct embedding *x, const struct kf_embed_options *o, struct err *e)
{
	struct embed_settings *s = &x->how;

	x->prompt = o->prompt ? o->prompt : embed_settings_prompt(s, NULL, e);
	if (!x->prompt)
		return -1;
	if (*x->prompt && !s->with_prompt)
		return err_set(e, "the model's pooling leaves a prompt's tokens out, which is not computed");
	if (o->pooling)
		s->pooling = (enum pooling)pooling_find(o->pooling);
	if (o->normalize)
		s->normalize = o->normalize > 0;
	if (o->max_length)
		s->max_length = o->max_length;
	return 0;
}

static int take_texts(struct embedding *x, const char *const *texts, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = 0;
	size_t cut;

	x->items = arena_array(&x->mem, x->n, sizeof(*x->items));
	x->docs = arena_array(&x->mem, x->n, sizeof(*x->docs));
	for (size_t i = 0; i < x->n && status == 0; i++) {
		struct document *d = &x->items[i];
		buf_clear(&text);
		embed_settings_text(&x->how, x->prompt, texts[i], strlen(texts[i]), &text);
		*d = (struct document){ .file = "text", .line = i, .choice = -1, .adapter = -1 };
		status = embed_document(d, &x->mem, x->evaluator->model->model.tokenizer, buf_str(&text), text.len,
		                        x->how.max_length, &cut, e);
		if (status < 0)
			err_prefix(e, "text %zu", i);
		x->docs[i] = d;
		x->longest = MAX(x->longest, d->n);
	}
	buf_release(&text);
	return status;
}

static int pass_done(void *ctx, size_t done, size_t total)
{
	struct embedding *x = ctx;

	return evaluator_progress(x->evaluator, x->call, (int64_t)done, (int64_t)total);
}

static int compute(struct embedding *x, float **vectors, size_t *width, struct err *e)
{
	struct kf_evaluator *v = x->evaluator;
	struct embed_options o = { .max_tokens = v->options.micro_batch_tokens, .max_length = x->longest,
		                   .pooling = x->how.pooling, .normalize = x->how.normalize };
	struct embedder *own = NULL;

	if (embedder_new(&own, &v->model->model, v->overlay, &v->device, &o, e) < 0)
		return -1;
	*width = embedder_width(own);
	float *out = mem_array(x->n * *width, sizeof(*out));
	int status = embedder_run(own, x->docs, x->n, out, pass_done, x, e);
	embedder_free(own);
	if (status == 0)
		*vectors = out;
	else
		mem_free(out);
	return status;
}

static int embed(struct embedding *x, const char *const *texts, const struct kf_embed_options *o, float **vectors,
                 size_t *width, struct err *e)
{
	if (settle(x, o, e) < 0 || take_texts(x, texts, e) < 0)
		return -1;
	return x->n ? compute(x, vectors, width, e) : 0;
}

static const char *wrong_texts(const char *const *texts, size_t n)
{
	if (n && !texts)
		return "texts is NULL";
	for (size_t i = 0; i < n; i++)
		if (!texts[i] || !utf8_valid(texts[i], strlen(texts[i]), NULL))
			return texts[i] ? "a text is not UTF-8" : "a text is NULL";
	return NULL;
}

int kf_embed(struct kf_evaluator *v, const char *const *texts, size_t n, const struct kf_embed_options *options,
             float **vectors, size_t *width, struct kf_error *error)
{
	static const struct kf_embed_options own;
	struct call c;
	struct embedding x = { .evaluator = v, .call = &c, .n = n, .longest = 1 };
	const char *wrong;

	if (vectors)
		*vectors = NULL;
	if (call_begin(&c, v, KIND_EVALUATOR, error) < 0)
		return KF_MISUSE;
	options = options ? options : &own;
	if (!vectors || !width)
		return call_misuse(&c, "%s is NULL", vectors ? "width" : "vectors");
	if ((wrong = wrong_texts(texts, n)) || (wrong = wrong_options(options, v->model->model.config.n_ctx)))
		return call_misuse(&c, "%s", wrong);
	*width = (size_t)v->model->model.config.C;
	int status = model_text(v->model, &c.err);
	if (status == 0)
		status = embed_settings_read(&x.how, &v->model->model, &c.err);
	if (status == 0) {
		status = embed(&x, texts, options, vectors, width, &c.err);
		embed_settings_release(&x.how);
	}
	arena_release(&x.mem);
	return call_end(&c, status);
}
