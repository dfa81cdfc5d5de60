/* index_embed: an embedder as `embed` has one, with the prompts that its files name for queries and for documents. See
 * index_embed.h. */
#include "cmd/index/index_embed.h"

#include <string.h>

#include "base/mem.h"
#include "cmd/metering.h"
#include "retrieve/index.h"

/* The prompt of the first of these names that the model's files have, else the usual one. */
static const char *prompt_of(const struct sentence *s, const char *const *names, struct err *e)
{
	for (; *names; names++)
		if (json_is_string(json_object_get(s->prompts, *names)))
			return json_string_value(json_object_get(s->prompts, *names));
	return sentence_prompt(s, NULL, e);
}

static int settle(struct index_embedder *x, struct err *e)
{
	static const char *const documents[] = { "document", "passage", "corpus", NULL }, *const queries[] = { "query",
	                                                                                                       NULL };
	struct sentence *s = &x->how;

	if (sentence_read(s, &x->l.model, e) < 0)
		return -1;
	x->document_prompt = prompt_of(s, documents, e);
	x->query_prompt = prompt_of(s, queries, e);
	if (!x->document_prompt || !x->query_prompt)
		return -1;
	if ((*x->document_prompt || *x->query_prompt) && !s->with_prompt)
		return err_set(e,
		               "the model's pooling leaves a prompt's tokens out (include_prompt false), which is not "
		                  "computed");
	struct embed_options eo = { .max_tokens = x->micro_batch_tokens, .max_length = s->max_length,
		                    .pooling = s->pooling, .normalize = true };
	if (embedder_new(&x->embedder, &x->l.model, NULL, x->app->device, &eo, e) < 0)
		return -1;
	x->width = embedder_width(x->embedder);
	return 0;
}

int index_embedder_open(struct index_embedder *x, struct app *app, const char *model, const char *compute,
                        int64_t micro_batch_tokens, struct err *e)
{
	*x = (struct index_embedder){ .app = app, .micro_batch_tokens = (int32_t)micro_batch_tokens };
	if (loaded_open_alone(&x->l, model, e) < 0)
		return -1;
	x->opened = true;
	if (source_hash(&x->l.model.source, x->hash, e) < 0 ||
	    model_compute(app, &x->l.model, compute, PREPARE_SCORE, e) < 0 || model_tokenizer_whole(&x->l.model, e) < 0)
		return -1;
	return settle(x, e);
}

int index_embedder_of(struct index_embedder *x, struct app *app, const struct index *of, const char *path,
                      const char *compute, int64_t micro_batch_tokens, struct err *e)
{
	const struct index_settings *s = index_settings(of);

	*x = (struct index_embedder){ 0 };
	if (!s->embedder)
		return !path ? 0 :
		       err_set(e, "--embedder: the index has no vectors; kungfu index build --embedder makes them");
	if (index_embedder_open(x, app, path ? path : s->embedder, compute, micro_batch_tokens, e) < 0)
		return path ? -1 : err_prefix(e, "the index's embedder (--embedder says where it is now)");
	if ((int)x->width != s->width || (s->embedder_hash && strcmp(x->hash, s->embedder_hash) != 0))
		return err_set(e, "%s is another model than the index was built with (%s): its vectors mean something "
		               "else", path ? path : s->embedder, s->embedder);
	return 1;
}

int index_encode(struct index_embedder *x, struct index_span text, bool query, struct arena *mem, struct document *d,
                 size_t *cut, struct err *e)
{
	const char *prompt = query ? x->query_prompt : x->document_prompt;
	struct buf whole = BUF_INIT;

	*d = (struct document){ .file = "text", .choice = -1, .adapter = -1 };
	sentence_text(&x->how, prompt, text.text, text.n, &whole);
	int status = embed_document(d, mem, x->l.model.tokenizer, buf_str(&whole), whole.len, x->how.max_length, cut,
	                            e);
	buf_release(&whole);
	return status;
}

struct embedding {
	struct index_embedder *x;
	const struct document *const *docs;
	size_t seen;
};

static int embedded(void *ctx, size_t done, size_t n)
{
	struct embedding *at = ctx;
	struct index_embedder *x = at->x;
	(void)n;

	while (at->seen < done)
		x->tokens += at->docs[at->seen++]->n;
	return x->progress ? x->progress(x->ctx) : metering_over();
}

int index_embed(struct index_embedder *x, const struct index_span *texts, size_t n, bool queries, float *out,
                struct err *e)
{
	struct arena mem = ARENA_INIT;
	struct document *docs = arena_array(&mem, n + 1, sizeof(*docs));
	const struct document **pointers = arena_array(&mem, n + 1, sizeof(*pointers));
	struct embedding at = { x, pointers, 0 };
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		size_t cut = 0;
		status = index_encode(x, texts[i], queries, &mem, &docs[i], &cut, e);
		docs[i].line = i + 1;
		x->cut += cut > 0;
		pointers[i] = &docs[i];
	}
	if (status == 0)
		status = embedder_run(x->embedder, pointers, n, out, embedded, &at, e);
	arena_release(&mem);
	return status;
}

void index_embedder_close(struct index_embedder *x)
{
	embedder_free(x->embedder);
	sentence_release(&x->how);
	if (x->opened)
		loaded_close(&x->l);
	*x = (struct index_embedder){ 0 };
}
