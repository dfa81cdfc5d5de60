/* serve_documents: the server's documents are the sources of the other commands, with an index that is watched, so that
 * the next question sees what was added. */
#include "cmd/serve/serve_documents.h"

#include "model/resident.h"

static int place(void *ctx, const json_t *messages, size_t num, json_t **made, json_t **found, struct err *e)
{
	return sources_messages(ctx, messages, num, made, found, e);
}

int serve_documents_open(struct serve_documents *d, const struct sources_options *o, struct app *app,
                         const struct tokenizer *tokenizer, struct err *e)
{
	*d = (struct serve_documents){ .open = true };
	if (sources_open(&d->sources, o, app, tokenizer, true, e) < 0)
		return -1;
	d->how = (struct openai_documents){ .place = place,
		                            .ctx = &d->sources,
		                            .num = (size_t)o->num,
		                            .most = SOURCES_MOST,
		                            .path = o->documents,
		                            .retriever = retriever_names[d->sources.retriever] };
	return 0;
}

size_t serve_documents_bytes(const struct serve_documents *d)
{
	struct model_reads reads = { 0 };
	size_t read = 0, owned = 0;

	if (d->open && d->sources.embedder.model)
		read = model_read_bytes(d->sources.embedder.model, &reads, &owned);
	return read + owned;
}

void serve_documents_close(struct serve_documents *d)
{
	if (d->open)
		sources_close(&d->sources);
}
