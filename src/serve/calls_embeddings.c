/* embeddings: vectors of texts or token ids, as numbers or in base64. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/base64.h"
#include "base/jsonx.h"
#include "base/mem.h"

static json_t *base64_json(const float *v, size_t width)
{
	struct buf text = BUF_INIT;

	base64_write(&text, (const uint8_t *)v, width * sizeof(*v));
	json_t *j = json_string(buf_str(&text));
	buf_release(&text);
	return j;
}

static json_t *reply(struct readout *x)
{
	json_t *data = json_array(), *usage = json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)x->tokens,
	                                                "total_tokens", (json_int_t)x->tokens);

	for (size_t i = 0; i < x->n; i++) {
		const float *one = x->out + i * x->width;
		json_array_append_new(data, json_pack("{s:s, s:i, s:o}", "object", "embedding", "index", (int)i,
		                                      "embedding",
		                                      x->base64 ? base64_json(one, x->width) :
		                                                  vector_json(one, x->width)));
	}
	if (x->s->o.read_span)
		json_object_set_new(usage, "gas", openai_gas_json(&x->gas));
	return json_pack("{s:s, s:o, s:s, s:o}", "object", "list", "data", data, "model", x->model, "usage", usage);
}

static void embeddings(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "model", "input", "encoding_format", "user", "dimensions", NULL };
	const json_t *format = json_object_get(sent, "encoding_format"), *width = json_object_get(sent, "dimensions");
	bool base64 = json_is_string(format) && !strcmp(json_string_value(format), "base64");
	struct readout *x = NULL;
	const char *name;

	if (openai_unknown_key(sent, known, r))
		;
	else if (openai_model(s, sent, &name, r) == -2)
		;
	else if (format && !json_is_null(format) && !base64 &&
	         !(json_is_string(format) && !strcmp(json_string_value(format), "float")))
		openai_error(r, 400, "invalid_value", "encoding_format", "'encoding_format' is float or base64");
	else if (width && !json_is_null(width) && json_integer_value(width) != s->o.model->config.C)
		openai_error(r, 400, "invalid_value", "dimensions", "This model's vectors have %d numbers",
		             s->o.model->config.C);
	else
		x = vectors_read(s, name, json_object_get(sent, "input"), false, r);
	if (!x)
		return;
	x->base64 = base64;
	readout_start(x, q, reply);
}

const struct calls calls_embeddings = {
	.rows =
		(const struct call[]){
			{ "POST", (const char *const[]){ "/v1/embeddings", "/embeddings", NULL }, embeddings }, { 0 } },
};
