/* openai_guard: a guard before and behind answers. Looked at are the texts of a request by the keys that have them; an
 * answer is looked at when it is whole, so a stream of it is one piece at its end. What is redacted says so itself:
 * [EMAIL] stands in the text. A large body, which http's second thread reads, keeps no other call waiting. */
#include "serve/openai_parts.h"

#include <string.h>

#include "base/mem.h"

static const char *const keys[] = { "messages", "prompt", "input", "system", "suffix",       "query",
	                            "documents", "text",  "texts", "tools",  "instructions" };

/* What texts of a request are looked at with, and where a refusal goes. */
struct looking {
	struct openai *s;
	struct guard_scratch *scratch;
	struct http_reply *reply;
};

static void find(struct openai *s, struct guard_scratch *scratch, const char *text, size_t n, struct guard_result *r)
{
	guard_look(scratch, text, n, r);
	if (s->o.guard_more)
		s->o.guard_more(s->o.guard_ctx, text, n, r);
}

void openai_guard_told(struct openai *s, const char *where, const char *text, const struct guard_result *r)
{
	if (r->verdict != GUARD_ALLOW && s->o.guard_told)
		s->o.guard_told(s->o.guard_ctx, where, text, r);
}

char *openai_guard_sentence(const struct guard_result *r)
{
	const struct guard_finding *f = guard_gravest(r);

	return mem_printf("The guard refuses the text: %s at bytes %zu to %zu%s%s", f->rule, f->begin, f->end,
	                  f->path[0] ? ", in " : "", f->path);
}

/* A text at `key`; *other: what stands for it now, new, or NULL. */
static bool look(const struct looking *x, const char *key, const json_t *value, json_t **other)
{
	const char *text = json_string_value(value);
	size_t n = json_string_length(value);
	struct guard_result found;
	struct buf redacted = BUF_INIT;

	find(x->s, x->scratch, text, n, &found);
	openai_guard_told(x->s, key, text, &found);
	bool refused = found.verdict == GUARD_REFUSE;
	if (refused) {
		char *sentence = openai_guard_sentence(&found);
		openai_error(x->reply, 400, "content_filter", key, "%s", sentence);
		mem_free(sentence);
	}
	if (found.verdict == GUARD_REDACT) {
		guard_redact(&found, text, n, &redacted);
		*other = json_stringn(buf_str(&redacted), redacted.len);
	}
	buf_release(&redacted);
	guard_result_release(&found);
	return !refused;
}

/* A list of a tokenizer's numbers is the text that they are. What of it were to be redacted is refused. */
static bool look_ids(const struct looking *x, const char *key, const json_t *ids)
{
	const struct model *m = x->s->o.model;
	struct tokens t = { 0 };
	struct buf text = BUF_INIT;
	json_t *value, *other = NULL;
	size_t i;

	json_array_foreach(ids, i, value)
		if (json_is_integer(value) && json_integer_value(value) >= 0 &&
		    json_integer_value(value) < m->config.V)
			tokens_add(&t, (int32_t)json_integer_value(value));
	tokenizer_decode(m->tokenizer, t.id, t.n, false, &text);
	value = json_stringn_nocheck(buf_str(&text), text.len);
	bool good = look(x, key, value, &other);
	if (other)
		openai_error(x->reply, 400, "content_filter", key,
		             "The guard redacts what these tokens say, which only a text can be: send it as one");
	good &= !other;
	json_decref(other);
	json_decref(value);
	buf_release(&text);
	tokens_release(&t);
	return good;
}

static bool look_in(const struct looking *x, const char *key, json_t *value, json_t **other, int depth)
{
	const char *name;
	json_t *item, *changed = NULL;
	size_t i;
	void *next;

	if (json_is_string(value))
		return look(x, key, value, other);
	if (depth > HTTP_DEPTH)
		return true;
	if (json_is_integer(json_array_get(value, 0)))
		return look_ids(x, key, value);
	json_array_foreach(value, i, item) {
		if (!look_in(x, key, item, &changed, depth + 1))
			return false;
		if (changed)
			json_array_set_new(value, i, changed);
		changed = NULL;
	}
	json_object_foreach_safe(value, next, name, item) {
		if (!look_in(x, key, item, &changed, depth + 1))
			return false;
		if (changed)
			json_object_set_new(value, name, changed);
		changed = NULL;
	}
	return true;
}

static bool look_at(const struct looking *x, json_t *sent)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		json_t *value = json_object_get(sent, keys[i]), *other = NULL;
		if (value && !look_in(x, keys[i], value, &other, 0))
			return false;
		if (other)
			json_object_set_new(sent, keys[i], other);
	}
	return true;
}

bool openai_guard(struct openai *s, const struct http_request *q, json_t *sent, struct http_reply *r)
{
	if (!s->guard_in)
		return true;
	if (s->guard_out && json_is_true(json_object_get(sent, "logprobs"))) {
		openai_error(r, 400, "unsupported_parameter", "logprobs",
		             "'logprobs' shows an answer as it grows; here answers are looked at before");
		return false;
	}
	if (!q->apart)
		return look_at(&(struct looking){ s, s->guard_in, r }, sent);
	struct holder *caller = openai_pause(s);
	bool good = look_at(&(struct looking){ s, s->guard_apart, r }, sent);
	openai_go_on(s, caller);
	return good;
}

void choice_guard(struct choice *c)
{
	struct ask *a = c->ask;
	struct guard_result found;
	struct buf other = BUF_INIT;

	if (!a->s->guard_out)
		return;
	find(a->s, a->s->guard_out, buf_str(&c->text), c->text.len, &found);
	openai_guard_told(a->s, "an answer", buf_str(&c->text), &found);
	if (found.verdict == GUARD_REFUSE)
		c->finish = "content_filter";
	if (found.verdict == GUARD_REDACT)
		guard_redact(&found, buf_str(&c->text), c->text.len, &other);
	if (found.verdict >= GUARD_REDACT) {
		buf_release(&c->text);
		c->text = other;
	}
	guard_result_release(&found);
}
