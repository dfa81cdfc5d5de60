/* rerank: documents by what they have to do with a query, as llama-server and Jina tell it. Here by the cosine of
 * their vectors, as the model's files say texts become vectors; by a cross-encoder, which reads both as one text, where
 * the model is one (a head of one number). The reply says which, as "method". */
#include "serve/openai_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "model/labels.h"

struct ranked { size_t index; double score; };

static int by_score(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->score != y->score ? (x->score < y->score) - (x->score > y->score) :
	                              (x->index > y->index) - (x->index < y->index);
}

static double cosine(const float *a, const float *b, size_t n)
{
	double ab = 0, aa = 0, bb = 0;

	for (size_t i = 0; i < n; i++) {
		ab += (double)a[i] * (double)b[i];
		aa += (double)a[i] * (double)a[i];
		bb += (double)b[i] * (double)b[i];
	}
	return ab / fmax(sqrt(aa * bb), 1e-12);
}

/* The best of them; own: {query, documents, top_n, return_documents}. */
static json_t *ranked_json(const json_t *own, struct ranked *list, size_t n)
{
	json_t *results = json_array(), *documents = json_object_get(own, "documents");
	size_t top = (size_t)json_integer_value(json_object_get(own, "top_n"));

	qsort(list, n, sizeof(*list), by_score);
	for (size_t i = 0; i < MIN(n, top); i++) {
		json_t *j = json_pack("{s:I, s:o}", "index", (json_int_t)list[i].index, "relevance_score",
		                      jsonx_number(list[i].score));
		if (json_is_true(json_object_get(own, "return_documents")))
			json_object_set_new(j, "document", json_pack("{s:O}", "text",
			                                             json_array_get(documents, list[i].index)));
		json_array_append_new(results, j);
	}
	return results;
}

static json_t *reply_json(const struct openai *s, const char *model, const char *method, json_t *results,
                          size_t tokens, const struct gas *gas)
{
	json_t *usage = json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)tokens, "total_tokens",
	                          (json_int_t)tokens);

	if (s->o.read_span)
		json_object_set_new(usage, "gas", openai_gas_json(gas));
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "model", model, "object", "list", "method", method, "results",
	                 results, "usage", usage);
}

static json_t *by_cosine(struct readout *x)
{
	struct ranked *list = mem_array(x->n, sizeof(*list));

	for (size_t i = 1; i < x->n; i++)
		list[i - 1] = (struct ranked){ i - 1, cosine(x->out, x->out + i * x->width, x->width) };
	json_t *results = ranked_json(x->own, list, x->n - 1);
	mem_free(list);
	return reply_json(x->s, x->model, "cosine", results, x->tokens, &x->gas);
}

static json_t *by_head(struct readout *x)
{
	struct ranked *list = mem_array(x->n, sizeof(*list));

	for (size_t i = 0; i < x->n; i++)
		list[i] = (struct ranked){ i, (double)x->out[i] };
	json_t *results = ranked_json(x->own, list, x->n);
	mem_free(list);
	return reply_json(x->s, x->model, "cross-encoder", results, x->tokens, &x->gas);
}

static void rank_by_cosine(struct openai *s, const struct http_request *q, const char *name, const json_t *texts,
                           json_t *own, struct http_reply *r)
{
	static const char *const renamed[][2] = { { "input", "documents" }, { NULL } };
	struct readout *x = vectors_read(s, name, texts, false, r);

	if (x) {
		x->own = json_incref(own);
		readout_start(x, q, by_cosine);
	} else {
		openai_rename(r, renamed);
	}
}

static void rank_by_head(struct openai *s, const struct http_request *q, const char *name, const json_t *texts,
                         json_t *own, struct http_reply *r)
{
	size_t n = json_array_size(texts) - 1;
	struct readout *x = labels_new(s, s->o.model, name, n);
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++)
		status = labels_text(x, i, json_array_get(texts, 0), json_array_get(texts, i + 1), "documents", r);
	if (status < 0) {
		readout_free(x);
		return;
	}
	x->own = json_incref(own);
	readout_start(x, q, by_head);
}

/* The query and the documents, texts all: [query, document …]; NULL and a refusal. New. */
static json_t *read_texts(const json_t *sent, struct http_reply *r)
{
	const json_t *query = json_object_get(sent, "query"), *documents = json_object_get(sent, "documents");
	json_t *list = json_array(), *one;
	size_t i;

	if (!documents)
		documents = json_object_get(sent, "texts");
	if (!json_is_string(query))
		openai_error(r, 400, "invalid_type", "query", "'query' is a text");
	else if (!json_is_array(documents) || !json_array_size(documents))
		openai_error(r, 400, "invalid_type", "documents", "'documents' is a list of texts, one at least");
	json_array_append(list, (json_t *)query);
	json_array_foreach((json_t *)documents, i, one) {
		json_t *text = json_is_object(one) ? json_object_get(one, "text") : one;
		if (!json_is_string(text) && r->status < 400)
			openai_error(r, 400, "invalid_type", "documents", "document %zu is no text", i);
		json_array_append(list, text ? text : one);
	}
	if (r->status < 400)
		return list;
	json_decref(list);
	return NULL;
}

static int read_top(const json_t *sent, size_t n, size_t *top, struct http_reply *r)
{
	const json_t *j = json_object_get(sent, "top_n");

	*top = json_is_integer(j) && json_integer_value(j) > 0 ? MIN((size_t)json_integer_value(j), n) : n;
	if (!j || json_is_null(j) || (json_is_integer(j) && json_integer_value(j) > 0))
		return 0;
	openai_error(r, 400, "invalid_value", "top_n", "'top_n' is a whole number, 1 or more");
	return -1;
}

static void rerank(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "model", "query", "documents", "texts", "top_n", "return_documents",
		                             "user", NULL };
	const struct labels *l = s->o.model->labels;
	const char *name;
	json_t *texts;
	size_t top = 0;

	if (openai_unknown_key(sent, known, r) || openai_model(s, sent, &name, r) == -2)
		return;
	if (l && l->n != 1) {
		openai_error(r, 400, "unsupported_value", "model",
		             "This model says %d labels of a text; ranking wants one number, or vectors", l->n);
		return;
	}
	texts = read_texts(sent, r);
	if (texts && read_top(sent, json_array_size(texts) - 1, &top, r) == 0) {
		json_t *documents = json_copy(texts), *own;
		json_array_remove(documents, 0);
		own = json_pack("{s:o, s:I, s:b}", "documents", documents, "top_n", (json_int_t)top, "return_documents",
		                json_is_true(json_object_get(sent, "return_documents")));
		(l ? rank_by_head : rank_by_cosine)(s, q, name, texts, own, r);
		json_decref(own);
	}
	json_decref(texts);
}

const struct calls calls_rerank = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/v1/rerank", "/rerank", "/reranking",
	                                                                "/v1/reranking", NULL },
	                                 rerank },
	                               { 0 } },
};
