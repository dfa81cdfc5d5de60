/* openai_documents: documents of an index before the question of a conversation: what a request chooses of them, what
 * is found, which happens in the engine (vectors are made by a model), and how it is told: `sources`, each with its
 * number, and OpenAI's `annotations` (url_citation) where an answer names a number, as [1].
 *
 * Which sources a text rests on is not measured here: an annotation says what the answer itself names. */
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/mem.h"

#define refuse(r, code, key, ...) (openai_error(r, 400, code, key, __VA_ARGS__), -1)

/* --- what is asked --- */

static int read_number(struct ask *a, const json_t *num, struct http_reply *r)
{
	const struct openai_documents *d = a->s->o.documents;
	json_int_t n = json_integer_value(num);

	if (!json_is_integer(num) || n < 1 || n > d->most)
		return refuse(r, "invalid_value", "num_documents", "'num_documents' is a whole number from 1 to %d",
		              d->most);
	a->documents = (size_t)n;
	return 0;
}

int ask_documents_read(struct ask *a, const json_t *sent, struct http_reply *r)
{
	const struct openai_documents *d = a->s->o.documents;
	const json_t *wish = json_object_get(sent, "documents"), *num = json_object_get(sent, "num_documents");
	bool told = wish && !json_is_null(wish), counted = num && !json_is_null(num);

	if (told && !json_is_boolean(wish))
		return refuse(r, "invalid_type", "documents",
		              "'documents' is true or false here: whether the server's index is asked; texts of your "
		              "own belong into the messages");
	bool wanted = json_is_true(wish) || counted;
	if (wanted && !d)
		return refuse(r, "unsupported_value", counted ? "num_documents" : "documents",
		              "No documents are served here (kungfu serve --documents docs.db)");
	if (json_is_false(wish) && counted)
		return refuse(r, "invalid_value", "num_documents", "'num_documents' beside 'documents' false");
	if (!d || json_is_false(wish) || !(wanted || a->chat || d->of_texts))
		return 0;
	if (!a->chat && (!json_is_string(json_object_get(sent, "prompt")) || a->echo))
		return refuse(r, "unsupported_value", a->echo ? "echo" : "prompt",
		              "Documents stand before one text; 'documents': false continues %s without them",
		              a->echo ? "and echoes" : "others");
	a->documents = d->num;
	return counted ? read_number(a, num, r) : 0;
}

/* --- in the engine --- */

static int place(struct ask *a, struct ask_refusal *why)
{
	const struct openai_documents *d = a->s->o.documents;
	struct err e = ERR_INIT;
	json_t *made = NULL;
	int status = d->place(d->ctx, a->talk.messages, a->documents, &made, &a->sources, &e);

	if (status) {
		json_decref(made);
		*why = status > 0 ? (struct ask_refusal){ 400, "invalid_messages", "messages" } :
		                    (struct ask_refusal){ 503, NULL, NULL };
		err_set(&why->e, "%s",
		        status > 0 ? "No turn of a user's is a text, before which documents could stand; 'documents': "
		                     "false asks without them" :
		                     e.msg);
		return -1;
	}
	json_decref(a->talk.messages);
	a->talk.messages = made;
	return 0;
}

/* What is asked, as it is now. */
static int write(struct ask *a, struct err *e)
{
	if (a->chat)
		return conversation_ids(a->s, &a->talk, &a->prompts[0], NULL, e);
	char *text = conversation_question(a->talk.messages);
	int status = openai_text_ids(a->s, text, strlen(text), &a->prompts[0], e);
	mem_free(text);
	return status;
}

int ask_documents_place(struct ask *a, struct ask_refusal *why)
{
	struct openai *s = a->s;
	struct meter_span span;
	int status;

	if (!a->documents)
		return 0;
	if (s->o.open_span)
		s->o.open_span(&span);
	status = place(a, why);
	if (status == 0) {
		*why = (struct ask_refusal){ 400, a->chat ? "invalid_messages" : "invalid_value",
			                     a->chat ? "messages" : "prompt" };
		pthread_mutex_lock(&s->calls); /* the template is one call's at a time */
		status = write(a, &why->e);
		pthread_mutex_unlock(&s->calls);
	}
	if (status == 0 && ask_too_long(a, &why->e)) {
		why->code = "context_length_exceeded";
		status = -1;
	}
	if (status == 0 && s->o.read_span) {
		s->o.read_span(&span, &a->looked);
		answer_gas_took(&a->parts, PART_RETRIEVAL, &a->looked);
	}
	return status;
}

/* --- what is told --- */

/* Of a source that the text names: `[n]` at text[at … end). */
static json_t *annotation(const struct ask *a, const json_t *source, const char *text, size_t at, size_t end)
{
	const json_t *url = json_object_get(source, "source"), *title = json_object_get(source, "title"),
		     *id = json_object_get(source, "id");
	char *before = mem_strndup(text, at);
	json_int_t first = (json_int_t)openai_characters(before);
	json_t *j = json_pack("{s:I, s:I, s:O, s:O}", "start_index", first, "end_index",
	                      first + (json_int_t)(end - at), "title", title ? title : id, "url", url ? url : id);

	mem_free(before);
	if (a->form == &openai_form)
		return json_pack("{s:s, s:o}", "type", "url_citation", "url_citation", j);
	json_object_set_new(j, "type", json_string("url_citation"));
	return j;
}

json_t *choice_annotations(const struct choice *c)
{
	const struct ask *a = c->ask;
	const char *text = buf_str(&c->text);
	json_t *list = json_array();

	for (const char *at = text; a->sources && (at = strchr(at, '[')); at++) {
		size_t n = strspn(at + 1, "0123456789");
		unsigned long number = n && n < 6 && at[1 + n] == ']' ? strtoul(at + 1, NULL, 10) : 0;
		const json_t *source = number ? json_array_get(a->sources, number - 1) : NULL;
		if (source)
			json_array_append_new(list, annotation(a, source, text, (size_t)(at - text),
			                                       (size_t)(at - text) + n + 2));
	}
	return list;
}

void choice_put_sources(const struct choice *c, json_t *message)
{
	if (!c->ask->sources)
		return;
	json_object_set_new(message, "annotations", choice_annotations(c));
	json_object_set(message, "sources", c->ask->sources);
}

void ask_put_parts(const struct ask *a, json_t *gas)
{
	if (a->sources)
		answer_gas_put(&a->parts, 1, gas);
}

json_t *openai_documents_json(const struct openai *s)
{
	const struct openai_documents *d = s->o.documents;

	return d ? json_pack("{s:o, s:I, s:s}", "index", jsonx_path(d->path), "num", (json_int_t)d->num, "retriever",
	                     d->retriever) :
	           json_null();
}
