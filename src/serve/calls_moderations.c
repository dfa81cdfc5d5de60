/* moderations: what a classifier says of texts, as OpenAI's moderations tell it. The categories are the
 * classifier's own labels and the scores its probabilities.
 *
 * Flagged is a text
 *     of several labels beside each other (multi_label_classification): of which one has 0.5 or more
 *     of one label a text: whose likeliest label is not the harmless one, which is the label called safe, ok, none,
 *     neutral, normal, benign, clean, harmless, not_… or non-…, without such a name the first
 *
 * A text that is too long is refused, never cut. Pictures are refused. */
#include "serve/openai_parts.h"

#include <string.h>
#include <strings.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "infer/labeller.h"

enum { INPUTS = 256 };

/* --- which labels are harmless --- */

static bool is_harmless(const char *name)
{
	static const char *const words[] = { "safe", "ok", "none", "neutral", "normal", "benign", "clean", "harmless",
		                             "legitimate", "not_", "not-", "not ", "non_", "non-", "no_" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i]);
		bool begins = strchr("_- ", words[i][n - 1]) != NULL;
		if (begins ? !strncasecmp(name, words[i], n) : !strcasecmp(name, words[i]))
			return true;
	}
	return false;
}

/* Of one label a text, the harmless one. */
static int harmless_of(const struct labels *l)
{
	for (int i = 0; i < l->n; i++)
		if (is_harmless(l->name[i]))
			return i;
	return 0;
}

/* --- the reply --- */

static json_t *result_json(const struct labels *l, const float *z)
{
	double *p = mem_array((size_t)l->n, sizeof(*p));
	json_t *categories = json_object(), *scores = json_object(), *applied = json_object();
	bool single = l->problem == PROBLEM_SINGLE_LABEL, flagged = false;
	int most = labels_largest(l, z), harmless = single ? harmless_of(l) : -1;

	labels_probabilities(l, z, p);
	for (int i = 0; i < l->n; i++) {
		bool is = i != harmless && (single ? i == most : p[i] >= 0.5);
		flagged |= is;
		json_object_set_new(categories, l->name[i], json_boolean(is));
		json_object_set_new(scores, l->name[i], jsonx_number(p[i]));
		json_object_set_new(applied, l->name[i], json_pack("[s]", "text"));
	}
	mem_free(p);
	return json_pack("{s:b, s:o, s:o, s:o}", "flagged", flagged, "categories", categories, "category_scores",
	                 scores, "category_applied_input_types", applied);
}

static json_t *reply(struct readout *x)
{
	json_t *results = json_array(), *usage;
	char id[40];

	usage = json_pack("{s:I, s:I}", "prompt_tokens", (json_int_t)x->tokens, "total_tokens", (json_int_t)x->tokens);
	openai_number(x->s, "modr", id, sizeof(id));
	for (size_t i = 0; i < x->n; i++)
		json_array_append_new(results, result_json(x->m->labels, x->out + i * x->width));
	if (x->s->o.read_span)
		json_object_set_new(usage, "gas", openai_gas_json(&x->gas));
	return json_pack("{s:s, s:s, s:o, s:o}", "id", id, "model", x->model, "results", results, "usage", usage);
}

/* --- the call --- */

/* A text, or {"type": "text", "text": …}; NULL: it is none. */
static const json_t *text_of(const json_t *one)
{
	const json_t *text = json_is_object(one) ? json_object_get(one, "text") : one;

	return json_is_string(text) ? text : NULL;
}

static int take_inputs(struct readout *x, const json_t *input, struct http_reply *r)
{
	for (size_t i = 0; i < x->n; i++) {
		const json_t *text = text_of(json_is_array(input) ? json_array_get(input, i) : input);
		if (!text)
			openai_error(r, 400, "unsupported_value", "input", "input %zu is no text", i);
		if (!text || labels_text(x, i, text, NULL, "input", r) < 0)
			return -1;
	}
	return 0;
}

static void moderations(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const known[] = { "model", "input", NULL };
	struct model *m = s->o.moderation ? s->o.moderation : s->o.model->labels ? s->o.model : NULL;
	const char *named = json_string_value(json_object_get(sent, "model")),
		   *own = s->o.moderation ? s->o.moderation_name : openai_name(s);
	const json_t *input = json_object_get(sent, "input");
	size_t n = json_is_array(input) ? json_array_size(input) : input != NULL;

	if (openai_unknown_key(sent, known, r))
		return;
	if (!m || m->labels->problem == PROBLEM_REGRESSION)
		openai_error(r, 400, "unsupported_value", "model",
		             "No classifier is served here: kungfu serve --moderation PATH serves one");
	/* OpenAI's names of its own classifiers mean the one that is here */
	else if (named && strcmp(named, own) != 0 && !strstr(named, "moderation"))
		openai_no_model(r, named);
	else if (n == 0 || n > INPUTS)
		openai_error(r, 400, "invalid_value", "input", "'input' is a text, or 1 to %d of them", INPUTS);
	if (r->status >= 400)
		return;
	struct readout *x = labels_new(s, m, own, n);
	if (take_inputs(x, input, r) < 0)
		readout_free(x);
	else
		readout_start(x, q, reply);
}

const struct calls calls_moderations = {
	.rows = (const struct call[]){ { "POST", (const char *const[]){ "/v1/moderations", "/moderations", NULL },
	                                 moderations },
	                               { 0 } },
};
