/* adapt_documents: the index behind the way `rag`: opened once, asked by the ladder for each row, and told of in what
 * is left. What its documents are is no secret of a fold: it is built before, and rows do not lie in it. */
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/adapt/adapt_parts.h"
#include "cmd/metering.h"

static int find(void *ctx, const struct tokenizer *t, const struct rows *rows, struct rows *out, double *seconds,
                struct err *e)
{
	struct adapt_documents *d = ctx;

	d->sources.tokenizer = t;
	d->sources.seconds = 0;
	metering_phase("retrieve");
	int status = sources_rows(&d->sources, rows, out, NULL, e);
	*seconds += d->sources.seconds;
	metering_phase(d->phase);
	return status;
}

/* By which an index is known again. */
static char *mark_of(const struct index *x)
{
	struct index_counts n;

	index_count(x, &n);
	return mem_printf("%zu documents, %zu chunks, %.0f words", n.documents, n.chunks, n.words);
}

int adapt_documents_open(struct adapt_documents *d, struct app *app, const struct sources_options *o, struct ladder *l,
                         struct err *e)
{
	*d = (struct adapt_documents){ .o = *o, .phase = "ways", .open = true };
	if (sources_open(&d->sources, &d->o, app, NULL, false, e) < 0)
		return -1;
	d->mark = mark_of(d->sources.index);
	d->how = json_pack("{s:o, s:I, s:s, s:s}", "index", jsonx_path(o->documents), "num", (json_int_t)o->num,
	                   "retriever", retriever_names[d->sources.retriever], "template", d->sources.form);
	if (!d->how)
		return err_set(e, "--documents-template is no UTF-8");
	l->find = find;
	l->find_ctx = d;
	l->documents = d->how;
	return 0;
}

void adapt_documents_close(struct adapt_documents *d)
{
	if (d->open)
		sources_close(&d->sources);
	json_decref(d->how);
	mem_free(d->mark);
}
