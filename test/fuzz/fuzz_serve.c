/* fuzz: any body of /v1/completions, /v1/chat/completions and /v1/embeddings is a request or is refused with a sentence
 * of OpenAI's form; one that is a request asks for tokens that the model has, for as many answers as it says, within
 * what a request may be. */
#include <stdint.h>
#include <string.h>

#include "served.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* No call is looked up here. */
const struct calls *const calls_table[] = { NULL };

static void check_refusal(const struct http_reply *r)
{
	json_t *j = json_loads(buf_str(&r->body), 0, NULL), *error = json_object_get(j, "error");

	if (r->status < 400 || r->status > 503 || !json_string_length(json_object_get(error, "message")))
		BUG("refused with %d and %s", r->status, buf_str(&r->body));
	json_decref(j);
}

static void check_ids(const struct openai *s, const struct tokens *ids)
{
	for (size_t i = 0; i < ids->n; i++)
		if (ids->id[i] < 0 || ids->id[i] >= s->o.model->config.V)
			BUG("token %d", ids->id[i]);
	if (!ids->n || ids->n > CONTEXT)
		BUG("a prompt of %zu tokens", ids->n);
}

static void try_ask(struct openai *s, const json_t *sent, bool chat)
{
	struct http_reply r = { 0 };
	struct ask *a = ask_read(s, sent, chat, &r);

	if (!a) {
		check_refusal(&r);
		buf_release(&r.body);
		return;
	}
	if (r.status || a->n_choices < a->n_prompts || a->n_choices > 128 || a->n_choices % a->n_prompts)
		BUG("%zu choices of %zu prompts, %d", a->n_choices, a->n_prompts, r.status);
	for (size_t i = 0; i < a->n_prompts; i++)
		check_ids(s, &a->prompts[i]);
	for (size_t i = 0; i < a->n_bias; i++)
		if (a->bias[i].id < 0 || a->bias[i].id >= s->o.model->config.V)
			BUG("a bias of token %d", a->bias[i].id);
	ask_free(a);
}

static void try_input(struct openai *s, const json_t *sent)
{
	struct http_reply r = { 0 };
	struct embedding *x = embedding_read(s, "fuzz", json_object_get(sent, "input"), false, &r);

	if (x)
		embedding_free(x);
	else
		check_refusal(&r);
	buf_release(&r.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct openai *s;
	struct http_reply r = { 0 };
	char *body = mem_alloc(n + 1);
	struct http_request q = { .body = body, .n_body = n };

	memcpy(body, data, n);
	s = s ? s : served();
	json_t *sent = http_json(&q, &r);
	if (sent) {
		try_ask(s, sent, false);
		try_ask(s, sent, true);
		try_input(s, sent);
	} else {
		check_refusal(&r);
	}
	json_decref(sent);
	buf_release(&r.body);
	mem_free(body);
	return 0;
}
