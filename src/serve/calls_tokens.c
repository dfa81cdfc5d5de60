/* tokens: llama-server's small calls: the tokens of a text and back, what the template makes of messages. */
#include "serve/openai_parts.h"

#include "base/jsonx.h"

static void tokenize(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const json_t *content = json_object_get(sent, "content"), *pieces = json_object_get(sent, "with_pieces"),
		     *special = json_object_get(sent, "parse_special");
	const struct tokenizer *t = s->o.model->tokenizer;
	struct tokens ids = { 0 };
	struct err e = ERR_INIT;
	json_t *list = json_array();

	(void)q;
	if (!json_is_string(content)) {
		openai_error(r, 400, "invalid_type", "content", "'content' is a text");
	} else {
		if (json_is_true(json_object_get(sent, "add_special")))
			tokenizer_begin(t, &ids);
		struct holder *caller = openai_pause(s);
		int status = tokenizer_encode(t, json_string_value(content), json_string_length(content),
		                              json_is_false(special) ? 0 : TOKENIZE_SPECIAL, &ids, &e);
		openai_go_on(s, caller);
		if (status < 0)
			openai_error(r, 400, "invalid_value", "content", "%s", e.msg);
	}
	for (size_t i = 0; i < ids.n; i++) {
		struct buf piece = BUF_INIT;
		if (json_is_true(pieces)) {
			tokenizer_piece(t, ids.id[i], &piece);
			json_array_append_new(list, json_pack("{s:i, s:o}", "id", ids.id[i], "piece",
			                                      jsonx_text(buf_str(&piece), piece.len)));
		} else {
			json_array_append_new(list, json_integer(ids.id[i]));
		}
		buf_release(&piece);
	}
	if (r->status < 400)
		openai_reply(r, json_pack("{s:O}", "tokens", list));
	json_decref(list);
	tokens_release(&ids);
}

static void detokenize(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const json_t *list = json_object_get(sent, "tokens");
	struct tokens ids = { 0 };
	struct buf text = BUF_INIT;

	(void)q;
	if (!json_is_array(list))
		openai_error(r, 400, "invalid_type", "tokens", "'tokens' is a list of token ids");
	for (size_t i = 0; r->status < 400 && i < json_array_size(list); i++) {
		const json_t *id = json_array_get(list, i);
		if (!json_is_integer(id) || json_integer_value(id) < 0 ||
		    (size_t)json_integer_value(id) >= tokenizer_size(s->o.model->tokenizer))
			openai_error(r, 400, "invalid_value", "tokens",
			             "'tokens' has something that is no token: 0 to %zu was "
			             "wanted",
			             tokenizer_size(s->o.model->tokenizer) - 1);
		else
			tokens_add(&ids, (int32_t)json_integer_value(id));
	}
	if (r->status < 400) {
		tokenizer_decode(s->o.model->tokenizer, ids.id, ids.n, false, &text);
		openai_reply(r, json_pack("{s:o}", "content", jsonx_text(buf_str(&text), text.len)));
	}
	buf_release(&text);
	tokens_release(&ids);
}

static void apply_template(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct tokens ids = { 0 };
	struct buf text = BUF_INIT;

	(void)q;
	if (openai_conversation(s, sent, &ids, &text, r) == 0)
		openai_reply(r, json_pack("{s:o}", "prompt", jsonx_text(buf_str(&text), text.len)));
	tokens_release(&ids);
	buf_release(&text);
}

const struct calls calls_tokens = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/tokenize", NULL }, tokenize },
	                               { "POST", (const char *const[]){ "/detokenize", NULL }, detokenize },
	                               { "POST", (const char *const[]){ "/apply-template", NULL }, apply_template },
	                               { 0 } },
};
