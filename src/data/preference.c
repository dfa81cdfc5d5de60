/* preference: pairs of answers to one prompt. See preference.h. */
#include "data/preference.h"

#include <math.h>
#include <stdlib.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "data/conversation.h"

static size_t count_text(const json_t *text)
{
	return json_is_string(text) ? utf8_count(json_string_value(text), json_string_length(text)) : 0;
}

static size_t count_content(const json_t *content)
{
	const json_t *part;
	size_t n = count_text(content), i;

	json_array_foreach((json_t *)content, i, part)
		n += count_text(json_is_string(part) ? part : json_object_get(part, "text"));
	return n;
}

size_t preference_chars(const json_t *completion)
{
	const json_t *message;
	size_t n = 0, i;

	if (json_is_string(completion))
		return count_text(completion);
	json_array_foreach((json_t *)completion, i, message)
		n += count_content(json_object_get(message, "content"));
	return n;
}

/* A number, or a table's cell that is one; NAN where there is none. */
static int read_margin(const json_t *row, double *margin, struct err *e)
{
	const json_t *v = json_object_get(row, "margin");
	const char *cell = json_string_value(v);
	char *end = NULL;

	*margin = NAN;
	if (column_is_empty(v))
		return 0;
	*margin = cell ? strtod(cell, &end) : json_number_value(v);
	if (isfinite(*margin) && (cell ? !*end : json_is_number(v)))
		return 0;
	char *found = jsonx_line(v);
	err_set(e, "margin is %.60s, wanted a number", found);
	mem_free(found);
	return -1;
}

int preference_mark(const struct maker *m, struct document *d, int32_t role, const json_t *answer, struct err *e)
{
	size_t chars = preference_chars(answer);

	d->role = role;
	d->empty = !chars;
	d->score = role == CHOSEN;
	if (m->o->eval_choices) {
		d->choice = role;
		d->gold = role == CHOSEN;
		d->choice_chars = (int32_t)chars;
	}
	return m->o->labelled ? read_margin(m->row->json, &d->margin, e) : 0;
}

json_t *preference_answer(const json_t *prompt, const json_t *answer, struct err *e)
{
	if (json_is_array(prompt) && json_is_string(answer))
		return json_pack("[o]", maker_turn("assistant", answer));
	return json_is_string(answer) ? json_incref((json_t *)answer) : messages_from(answer, e);
}

static int make_one(struct maker *m, const json_t *prompt, const json_t *answer, int32_t role, struct err *e)
{
	json_t *whole = preference_answer(prompt, answer, e);
	struct document *d = whole ? maker_answer(m, prompt, whole, e) : NULL;
	int status = d ? preference_mark(m, d, role, whole, e) : -1;

	json_decref(whole);
	return status == 0 ? 0 : err_prefix(e, "%s", role == CHOSEN ? "chosen" : "rejected");
}

int preference_make(struct maker *m, const json_t *prompt, const json_t *chosen, const json_t *rejected, struct err *e)
{
	return make_one(m, prompt, chosen, CHOSEN, e) < 0 ? -1 : make_one(m, prompt, rejected, REJECTED, e);
}

static json_t *common_text(const json_t *a, const json_t *b)
{
	const char *x = json_string_value(a), *y = json_string_value(b);
	size_t n = 0, most = MIN(json_string_length(a), json_string_length(b));

	while (n < most && x[n] == y[n])
		n++;
	while (n && n < most && ((unsigned char)x[n] & 0xc0) == 0x80)
		n--;
	return json_stringn(x, n && x[n - 1] == ' ' ? n - 1 : n);
}

json_t *preference_prompt(const json_t *chosen, const json_t *rejected)
{
	json_t *out = json_array();
	size_t n = MIN(json_array_size(chosen), json_array_size(rejected));

	if (json_is_string(chosen) && json_is_string(rejected)) {
		json_decref(out);
		return common_text(chosen, rejected);
	}
	for (size_t i = 0; i + 1 < n && json_equal(json_array_get(chosen, i), json_array_get(rejected, i)); i++)
		json_array_append(out, json_array_get(chosen, i));
	return out;
}

json_t *preference_rest(const json_t *answer, const json_t *prompt)
{
	size_t n = json_is_string(prompt) ? json_string_length(prompt) : json_array_size(prompt);
	json_t *out;

	if (json_is_string(answer))
		return json_stringn(json_string_value(answer) + n, json_string_length(answer) - n);
	out = json_array();
	for (size_t i = n; i < json_array_size(answer); i++)
		json_array_append(out, json_array_get(answer, i));
	return out;
}

json_t *preference_ask(const json_t *chosen, const json_t *rejected, struct err *e)
{
	json_t *prompt = preference_prompt(chosen, rejected);

	if (json_is_string(prompt) ? json_string_length(prompt) : json_array_size(prompt))
		return prompt;
	json_decref(prompt);
	err_set(e, "chosen and rejected do not begin alike, so there is no prompt");
	return NULL;
}

int preference_make_whole(struct maker *m, const json_t *chosen, const json_t *rejected, struct err *e)
{
	json_t *prompt = preference_ask(chosen, rejected, e);

	if (!prompt)
		return -1;
	json_t *good = preference_rest(chosen, prompt), *bad = preference_rest(rejected, prompt);
	int status = preference_make(m, prompt, good, bad, e);
	json_decref(good);
	json_decref(bad);
	json_decref(prompt);
	return status;
}
