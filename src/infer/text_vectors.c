/* text_vectors: texts as documents, through the embedder once, or only as far as its plan. See text_vectors.h. */
#include "infer/text_vectors.h"

#include <string.h>

#include "base/mem.h"

static int encode(const struct text_vectors *t, const struct embed_settings *how, const char *prompt, const char *text,
                  struct document *d, struct arena *mem, struct err *e)
{
	struct buf whole = BUF_INIT;
	size_t cut;

	embed_settings_text(how, prompt, text, strlen(text), &whole);
	int status = embed_document(d, mem, t->model->tokenizer, buf_str(&whole), whole.len, how->max_length, &cut, e);
	buf_release(&whole);
	if (status == 0 && d->n == 0)
		return err_set(e, "a text without a token has no vector");
	return status;
}

static int forecast(struct text_vectors *t, struct scorer *s, const struct document *const *docs, size_t n,
                    struct err *e)
{
	struct scorer_forecast f;

	if (scorer_forecast(s, docs, n, false, &f, e) < 0)
		return -1;
	t->flops += f.flops;
	t->int_ops += f.int_ops;
	t->seconds += f.seconds + (double)f.bytes / f.touch_rate;
	t->bytes = MAX(t->bytes, f.bytes);
	return 0;
}

static int run(struct text_vectors *t, const struct embed_settings *how, const struct document *docs, size_t n,
               float *out, struct err *e)
{
	const struct document **pointers = mem_array(n, sizeof(*pointers));
	struct embed_options o = { .max_tokens = t->max_tokens, .max_length = 1, .pooling = how->pooling,
		                   .normalize = true };
	struct embedder *x = NULL;

	for (size_t i = 0; i < n; i++) {
		pointers[i] = &docs[i];
		o.max_length = MAX(o.max_length, docs[i].n);
	}
	int status = embedder_new(&x, t->model, t->overlay, t->device, &o, e);
	if (status == 0)
		status = t->dry ? forecast(t, embedder_scorer(x), pointers, n, e) :
		                  embedder_run(x, pointers, n, out, t->progress, t->ctx, e);
	if (x && !t->dry) {
		t->flops += scorer_flops(embedder_scorer(x));
		t->int_ops += scorer_int_ops(embedder_scorer(x));
	}
	embedder_free(x);
	mem_free(pointers);
	return status;
}

int text_vectors_make(struct text_vectors *t, const char *const *texts, size_t n, float *out, struct err *e)
{
	struct document *docs = mem_array(n, sizeof(*docs));
	struct arena mem = ARENA_INIT;
	struct embed_settings how;
	int status = embed_settings_read(&how, t->model, e);

	if (status < 0) {
		mem_free(docs);
		return -1;
	}
	if (!how.said && !t->model->config.arch->encoder)
		how.pooling = POOLING_MEAN;
	const char *prompt = embed_settings_prompt(&how, NULL, e);
	status = prompt ? 0 : -1;
	for (size_t i = 0; i < n && status == 0; i++) {
		docs[i] = (struct document){ .file = "", .choice = -1 };
		status = encode(t, &how, prompt, texts[i], &docs[i], &mem, e);
	}
	if (status == 0)
		status = run(t, &how, docs, n, out, e);
	embed_settings_release(&how);
	arena_release(&mem);
	mem_free(docs);
	return status;
}
