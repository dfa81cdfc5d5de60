/* sources_options: what the options say is checked, the index and its embedder are opened, and told to the meter. See
 * sources_options.h. */
#include "cmd/index/sources_options.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/in_context.h"
#include "cmd/index/index_embedder.h"
#include "cmd/metering.h"

int sources_open(struct sources *s, const struct sources_options *o, struct app *app,
                 const struct tokenizer *tokenizer, bool watched, struct err *e)
{
	char *form = in_context_text("documents-template", o->template_ ? o->template_ : SOURCES_TEMPLATE, e);
	struct sources_how how = { .index = o->documents, .retriever = o->retriever, .form = form,
		                   .num = (size_t)o->num, .watched = watched };

	*s = (struct sources){ 0 };
	if (!form)
		return -1;
	int status = strstr(form, "{documents}") && strstr(form, "{question}") ?
	                     sources_begin(s, &how, app->pool, tokenizer, e) :
	                     err_set(e, "--documents-template: {documents} and {question} were wanted in it");
	mem_free(form);
	if (status < 0)
		return -1;
	metering_in("documents", o->documents, NULL);
	return s->retriever != RETRIEVER_BM25 &&
	       index_embedder_of(&s->embedder, app, s->index, NULL, "f32", 2048, e) < 0 ? -1 : 0;
}

void sources_of_artefact(struct sources_options *o, const json_t *documents)
{
	struct sources_how how;

	sources_how_of(&how, documents);
	*o = (struct sources_options){ .documents = how.index, .retriever = how.retriever, .template_ = how.form,
		                       .num = (int64_t)how.num };
}

const char *sources_contradiction(const struct sources_options *o)
{
	if (sources_wanted(o))
		return NULL;
	if (o->num != strtol(SOURCES_NUM, NULL, 10))
		return "--num-documents is of --documents";
	if (strcmp(o->retriever, "auto") != 0)
		return "--retriever is of --documents";
	if (o->citations)
		return "--citations are of --documents";
	return o->template_ ? "--documents-template is of --documents" : NULL;
}
