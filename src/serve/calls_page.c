/* page: the one at /, for people: a conversation with the models that are served, and runs. Everybody may have it: it
 * holds nothing, and asks for a key where the calls do. */
#include "serve/openai_parts.h"

#include "serve/page.h"

extern const char page_serve[];

static void page(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	(void)q;
	(void)sent;
	r->type = "text/html; charset=utf-8";
	r->policy = buf_str(&s->page_policy);
	buf_adds(&r->body, page_serve);
}

const struct calls calls_page = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/", "/index.html", NULL }, page, .open = true },
	                               { 0 } },
};
