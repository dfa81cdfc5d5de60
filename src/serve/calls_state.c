/* state: that it is there, what is served, counters for Prometheus; as llama-server tells them. */
#include "serve/openai_parts.h"

#include <stddef.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "serve/models.h"

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
	                       o->context, "total_slots", o->parallel, "model_alias", openai_name(s), "model_path",
	                       jsonx_path(o->path), "chat_template", template, "build_info", "kungfu " KUNGFU_VERSION,
	                       "documents", openai_documents_json(s)));
}

static void metric(struct buf *b, const char *name, const char *help)
{
	buf_addf(b, "# HELP kungfu_%s %s\n# TYPE kungfu_%s counter\n", name, help, name);
}

/* Counters of each model and adapter. */
struct by_model {
	struct buf *out;
	const char *name;
	size_t offset;
	bool count;
};

static void add_label(struct buf *b, const char *name, const char *value)
{
	buf_addf(b, "%s=\"", name);
	for (; *value; value++)
		if (*value == '\n')
			buf_adds(b, "\\n");
		else
			buf_addf(b, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
	buf_addc(b, '"');
}

static void add_model(void *ctx, const struct served *s)
{
	const struct by_model *x = ctx;
	const void *at = (const char *)s + x->offset;

	buf_addf(x->out, "kungfu_%s{", x->name);
	add_label(x->out, "model", s->model);
	buf_addc(x->out, ',');
	add_label(x->out, "adapter", s->adapter);
	if (x->count)
		buf_addf(x->out, "} %lld\n", (long long)*(const int64_t *)at);
	else
		buf_addf(x->out, "} %.9g\n", *(const double *)at);
}

static void by_model(struct openai *s, struct buf *out)
{
#define COUNTER(name, help, field) { name, help, offsetof(struct served, field), true }
	static const struct {
		const char *name, *help;
		size_t offset;
		bool count;
	} counters[] = {
		COUNTER("model_requests_total", "requests that ended", requests),
		COUNTER("model_prompt_tokens_total", "tokens of prompts, texts and documents", tokens_in),
		COUNTER("model_prompt_tokens_cached_total", "of these, tokens that were not computed again", cached),
		COUNTER("model_tokens_predicted_total", "tokens of answers", tokens_out),
		COUNTER("model_tokens_drafted_total", "tokens that were guessed ahead", guessed),
		COUNTER("model_tokens_accepted_total", "of these, tokens that were right", accepted),
		{ "model_joules_total", "energy of requests, as far as it is known", offsetof(struct served, joules),
		  false },
	};
#undef COUNTER

	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		struct by_model x = { out, counters[i].name, counters[i].offset, counters[i].count };
		metric(out, counters[i].name, counters[i].help);
		keys_each_model(s->o.keys, add_model, &x);
	}
}

/* Of all models. */
static struct openai_counts counted(struct openai *s)
{
	struct openai *all[MODELS_MOST];
	struct openai_counts sum = { 0 };
	size_t n = openai_all(s, all);

	for (size_t i = 0; i < n; i++) {
		struct openai_counts c = openai_counted(all[i]);
		openai_counts_add(&sum, &c);
	}
	return sum;
}

static void metrics(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct openai_counts c = counted(s);
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
		{ "tokens_drafted_total", "tokens that were guessed ahead", c.guessed },
		{ "tokens_accepted_total", "of these, tokens that were right", c.accepted },
	};

	(void)q;
	(void)sent;
	r->status = 200;
	r->type = "text/plain; version=0.0.4";
	for (size_t i = 0; i < ARRAY_LEN(counters); i++) {
		metric(&r->body, counters[i].name, counters[i].help);
		buf_addf(&r->body, "kungfu_%s %llu\n", counters[i].name, (unsigned long long)counters[i].value);
	}
	by_model(s, &r->body);
}

const struct calls calls_state = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/health", "/v1/health", NULL }, health,
	                                 .open = true },
	                               { "GET", (const char *const[]){ "/props", NULL }, props },
	                               { "GET", (const char *const[]){ "/metrics", NULL }, metrics },
	                               { 0 } },
};
