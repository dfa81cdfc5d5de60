/* answers: what continues messages or a prompt. */
#include "serve/openai_parts.h"

static void answers(struct openai *s, const struct http_request *q, const json_t *sent, bool chat, struct http_reply *r)
{
	struct ask *a = ask_read(s, sent, chat, r);

	if (a)
		ask_start(a, q);
}

static void chat(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	answers(s, q, sent, true, r);
}

static void completions(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	answers(s, q, sent, false, r);
}

const struct calls calls_answers = {
	.rows =
		(const struct call[]){
			{ "POST", (const char *const[]){ "/v1/chat/completions", "/chat/completions", NULL }, chat },
			{ "POST", (const char *const[]){ "/v1/completions", "/completions", NULL }, completions },
			{ 0 } },
};
