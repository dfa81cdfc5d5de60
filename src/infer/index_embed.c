/* index_embed: an embedder as `embed` has one, with the prompts that its files name for queries and for documents. See
 * index_embed.h. */
#include "infer/index_embed.h"

#include <string.h>

#include "base/mem.h"
#include "retrieve/index.h"

/* The prompt of the first of these names that the model's files have, else the usual one. */
static const char *prompt_of(const struct embed_settings *s, const char *const *names, struct err *e)
{
	for (; *names; names++)
		if (json_is_string(json_object_get(s->prompts, *names)))
			return json_string_value(json_object_get(s->prompts, *names));
	return embed_settings_prompt(s, NULL, e);
}

int index_embedder_begin(struct index_embedder *x, struct device *d, int32_t micro_batch_tokens, struct err *e)
{
	static const char *const documents[] = { "document", "passage", "corpus", NULL }, *const queries[] = { "query",
	                                                                                                       NULL };
	struct embed_settings *s = &x->how;

	if (source_hash(&x->model->source, x->hash, e) < 0 || model_tokenizer_whole(x->model, e) < 0 ||
	    embed_settings_read(s, x->model, e) < 0)
		return -1;
	x->document_prompt = prompt_of(s, documents, e);
	x->query_prompt = prompt_of(s, queries, e);
	if (!x->document_prompt || !x->query_prompt)
		return -1;
	if ((*x->document_prompt || *x->query_prompt) && !s->with_prompt)
		return err_set(e,
		               "the model's pooling leaves a prompt's tokens out (include_prompt false), which is not "
		                  "computed");
	struct embed_options eo = { .max_tokens = micro_batch_tokens, .max_length = s->max_length,
		                    .pooling = s->pooling, .normalize = true };
	if (embedder_new(&x->embedder, x->model, NULL, d, &eo, e) < 0)
		return -1;
	x->width = embedder_width(x->embedder);
	return 0;
}

int index_embedder_is_of(const struct index_embedder *x, const struct index *of, const char *path, struct err *e)
{
	const struct index_settings *s = index_settings(of);

	return (int)x->width == s->width && (!s->embedder_hash || !strcmp(x->hash, s->embedder_hash)) ?
	               0 :
	               err_set(e, "%s is another model than the index was built with (%s): its vectors mean something "
	                          "else", path, s->embedder);
}

int index_encode(struct index_embedder *x, struct index_span text, bool query, struct arena *mem, struct document *d,
                 size_t *cut, struct err *e)
{
	const char *prompt = query ? x->query_prompt : x->document_prompt;
	struct buf whole = BUF_INIT;

	*d = (struct document){ .file = "text", .choice = -1, .adapter = -1 };
	embed_settings_text(&x->how, prompt, text.text, text.n, &whole);
	int status = embed_document(d, mem, x->model->tokenizer, buf_str(&whole), whole.len, x->how.max_length, cut,
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
	return x->progress ? x->progress(x->ctx) : 0;
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
	embed_settings_release(&x->how);
	if (x->holder)
		x->release(x->holder);
	*x = (struct index_embedder){ 0 };
}
