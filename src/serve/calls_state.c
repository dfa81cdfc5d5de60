/* state: that it is there, what is served, counters for Prometheus; as llama-server tells them. */
#include "serve/openai_parts.h"

#include "base/jsonx.h"
#include "base/mem.h"

static void health(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)s;
	(void)q;
	(void)sent;
	openai_reply(r, json_pack("{s:s}", "status", "ok"));
}

static void props(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const struct openai_options *o = &s->o;
	const char *template = tokenizer_template(o->model->tokenizer);

	(void)q;
	(void)sent;
	openai_reply(r,
	             json_pack("{s:{s:i}, s:i, s:s, s:o, s:s?, s:s, s:o}", "default_generation_settings", "n_ctx",
	                       o->context, "total_slots", o->parallel, "model_alias", o->name, "model_path",
	                       jsonx_path(o->path), "chat_template", template, "build_info", "kungfu " KUNGFU_VERSION,
	                       "documents", openai_documents_json(s)));
}

static void metrics(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct openai_counts c = openai_counted(s);
	const struct {
		const char *name, *help;
		uint64_t value;
	} counters[] = {
		{ "requests_total", "calls that were read", c.requests },
		{ "requests_refused_total", "calls that were refused", c.refused },
		{ "answers_total", "answers that were made", c.answers },
		{ "prompt_tokens_total", "tokens of prompts", c.prompt_tokens },
		{ "prompt_tokens_cached_total", "of these, tokens that were not computed again", c.cached_tokens },
		{ "tokens_predicted_total", "tokens of answers", c.new_tokens },
	};

	(void)q;
	(void)sent;
	r->status = 200;
	r->type = "text/plain; version=0.0.4";
	for (size_t i = 0; i < ARRAY_LEN(counters); i++)
		buf_addf(&r->body, "# HELP kungfu_%s %s\n# TYPE kungfu_%s counter\nkungfu_%s %llu\n", counters[i].name,
		         counters[i].help, counters[i].name, counters[i].name, (unsigned long long)counters[i].value);
}

const struct calls calls_state = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/health", "/v1/health", NULL }, health,
	                                 .open = true },
	                               { "GET", (const char *const[]){ "/props", NULL }, props },
	                               { "GET", (const char *const[]){ "/metrics", NULL }, metrics },
	                               { 0 } },
};
