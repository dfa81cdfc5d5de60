/* exam_ask: rows become requests. A prompt is turns: the system's (an instruction and the task's description), a user's
 * and an assistant's of each example, the user's of the row, and what its answer begins with (gen_prefix). Each turn
 * has what stands behind it where all is one text; with a chat template the turns are its messages, or, not
 * as_multiturn, all of the users' and assistants' one message. lm-eval's fewshot_context, build_qa_turn and
  * construct_requests.
 *
 * Examples are drawn for one row after the other from one stream of Python's random, so which ones a row has depends on
 * the rows before it, as there. */
#include <string.h>

#include "base/py_literal.h"
#include "base/py_random.h"
#include "base/unicode.h"
#include "base/utf8.h"
#include "data/chat.h"
#include "exam/exam_parts.h"

struct turn { const char *role; json_t *text; const char *behind; };
enum { TURNS_MOST = 2100 };

struct asking {
	const struct exam *t;
	const struct exam_how *how;
	struct exam_asked *out;
	size_t cap;
	struct mt19937 random;
	size_t *drawn;                 /* [num_fewshot + 1] */
	struct turn *turn;             /* [n_turns] of the row that is written */
	size_t n_turns;
	struct err *e;
};

static void add_turn(struct asking *a, const char *role, json_t *text, const char *behind)
{
	if (a->n_turns == TURNS_MOST)
		BUG("more turns than examples can make");
	a->turn[a->n_turns++] = (struct turn){ role, text, behind };
}

static void drop_turns(struct asking *a, size_t from)
{
	while (a->n_turns > from)
		json_decref(a->turn[--a->n_turns].text);
}

/* --- white space at a join --- */

static bool begins_space(const json_t *text)
{
	uint32_t c;

	return utf8_decode(json_string_value(text), json_string_length(text), &c) && unicode_is_space(c);
}

static bool ends_space(const json_t *text)
{
	size_t n = json_string_length(text), left = n;

	unicode_rstrip(json_string_value(text), &left);
	return left < n;
}

/* prefix, delimiter, suffix; the delimiter only where both are something and no white space is there. */
static json_t *joined(const json_t *prefix, const char *delimiter, const json_t *suffix)
{
	bool both = json_string_length(prefix) && json_string_length(suffix);
	bool space = both && (ends_space(prefix) || begins_space(suffix));

	return json_sprintf("%s%s%s", json_string_value(prefix), both && !space ? delimiter : "",
	                    json_string_value(suffix));
}

/* --- turns --- */

/* The answer of an example as a text; NULL and a sentence. */
static json_t *answer_text(const struct asking *a, json_t *answer, const json_t *choices)
{
	json_t *one = json_is_integer(answer) && choices ?
		              json_array_get(choices, (size_t)json_integer_value(answer)) :
	              json_is_array(answer) ? json_array_get(answer, 0) :
	                                      answer;

	if (json_is_string(one))
		return json_incref(one);
	err_set(a->e, "the answer of an example is no text");
	return NULL;
}

/* A user's turn, and the assistant's where there is an answer (NULL or "": none) or a prefix. Takes q. */
static int qa_turns(struct asking *a, json_t *q, json_t *answer, const json_t *choices, const json_t *prefix,
                    const char *target_delimiter, const char *behind)
{
	bool has_answer = answer && !json_is_null(answer) && !(json_is_string(answer) && !json_string_length(answer));
	bool has_prefix = json_string_length(prefix) > 0, wants = json_string_length(q) && has_prefix &&
	                  !(ends_space(q) || begins_space(prefix));

	add_turn(a, "user", q, (has_answer && !has_prefix) || wants ? target_delimiter : "");
	if (has_answer) {
		json_t *text = answer_text(a, answer, choices);
		if (!text)
			return -1;
		add_turn(a, "assistant", joined(prefix, " ", text), behind);
		json_decref(text);
	} else if (has_prefix) {
		add_turn(a, "assistant", json_incref((json_t *)(uintptr_t)prefix), "");
	}
	return 0;
}

static int add_shot(struct asking *a, const json_t *doc)
{
	const struct exam *t = a->t;
	json_t *q = exam_text(t, &t->shot_text, doc, a->e), *c = NULL, *answer = NULL, *prefix = NULL;
	int status = q ? 0 : -1;

	if (status == 0 && t->shot_choice.value)
		status = (c = exam_choices(t, &t->shot_choice, doc, a->e)) ? 0 : -1;
	if (status == 0)
		status = (answer = exam_target(t, &t->shot_target, doc, a->e)) &&
		         (prefix = exam_words(&t->shot_prefix, doc, a->e)) ? 0 : -1;
	if (status == 0 && t->multiple_input) {
		json_t *chosen = json_array_get(c, (size_t)json_integer_value(q));
		json_decref(q);
		q = json_incref(chosen);
	}
	if (status == 0 && !json_is_string(q))
		status = err_set(a->e, "doc_to_text of an example gives no text");
	if (status == 0) {
		status = qa_turns(a, q, answer, t->multiple_input ? NULL : c, prefix, t->shot_target_delimiter,
		                  t->shot_delimiter);
		q = NULL;
	}
	json_decref(q);
	json_decref(c);
	json_decref(answer);
	json_decref(prefix);
	return status;
}

/* --- examples --- */

/* Of the first n + 1 drawn, those that are not the row. */
static int draw(struct asking *a, const json_t *doc)
{
	const struct exam *t = a->t;
	size_t n = (size_t)t->num_fewshot, all = json_array_size(t->pool), kept = 0;

	if (t->first_n) {
		for (size_t i = 0; i < all && kept < n; i++)
			if (!t->own_rows || !json_equal(json_array_get(t->pool, i), doc))
				a->drawn[kept++] = i;
		return kept == n ? 0 : err_set(a->e, "%zu examples are wanted, and there are %zu", n, kept);
	}
	size_t more = n + t->own_rows;
	py_random_sample(&a->random, all, more, a->drawn);
	for (size_t i = 0; i < more && kept < n; i++)
		if (!t->own_rows || !json_equal(json_array_get(t->pool, a->drawn[i]), doc))
			a->drawn[kept++] = a->drawn[i];
	if (kept == n)
		return 0;
	/* rows that come twice were both drawn: once more, of the others */
	size_t *others = mem_array(all, sizeof(*others)), n_others = 0;
	for (size_t i = 0; i < all; i++)
		if (!json_equal(json_array_get(t->pool, i), doc))
			others[n_others++] = i;
	int status = n_others >= n ? 0 : err_set(a->e, "%zu examples are wanted, and there are %zu", n, n_others);
	if (status == 0)
		py_random_sample(&a->random, n_others, n, a->drawn);
	for (size_t i = 0; i < n && status == 0; i++)
		a->drawn[i] = others[a->drawn[i]];
	mem_free(others);
	return status;
}

static int add_shots(struct asking *a, const json_t *doc)
{
	if (!a->t->num_fewshot)
		return 0;
	if (draw(a, doc) < 0)
		return -1;
	for (int i = 0; i < a->t->num_fewshot; i++)
		if (add_shot(a, json_array_get(a->t->pool, a->drawn[i])) < 0)
			return err_prefix(a->e, "example %zu", a->drawn[i] + 1);
	return 0;
}

/* --- a prompt --- */

static void one_message(const struct asking *a, size_t from, size_t to, struct buf *out)
{
	for (size_t i = from; i < to; i++) {
		buf_add(out, json_string_value(a->turn[i].text), json_string_length(a->turn[i].text));
		buf_adds(out, i + 1 < to ? a->turn[i].behind : "");
	}
}

/* The turns as a template's messages. */
static json_t *messages_of(const struct asking *a)
{
	size_t first = a->n_turns && !strcmp(a->turn[0].role, "system"), end = a->n_turns;
	bool prefix = end && !strcmp(a->turn[end - 1].role, "assistant");
	json_t *list = json_array();
	struct buf text = BUF_INIT;

	if (a->how->fewshot_as_multiturn) {
		for (size_t i = 0; i < end; i++)
			json_array_append_new(list, json_pack("{s:s, s:O}", "role", a->turn[i].role, "content",
			                                      a->turn[i].text));
		return list;
	}
	if (first)
		json_array_append_new(list, json_pack("{s:s, s:O}", "role", "system", "content", a->turn[0].text));
	one_message(a, first, end - prefix, &text);
	json_array_append_new(list, json_pack("{s:s, s:s}", "role", "user", "content", buf_str(&text)));
	if (prefix)
		json_array_append_new(list, json_pack("{s:s, s:O}", "role", "assistant", "content",
		                                      a->turn[end - 1].text));
	buf_release(&text);
	return list;
}

/* Cut behind the last message's words, which the model goes on from. */
static int cut_final(struct buf *text, const json_t *messages, struct err *e)
{
	const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
	const char *words = json_string_value(json_object_get(last, "content")), *at, *found = NULL;
	size_t n = strlen(words);

	unicode_strip(&words, &n);
	for (at = buf_str(text); n && (at = memmem(at, strlen(at), words, n)); at++)
		found = at;
	if (!found)
		return err_set(e, "the chat template does not write gen_prefix as it is");
	text->len = (size_t)(found - buf_str(text)) + n;
	text->data[text->len] = 0;
	return 0;
}

static int write_chat(const struct asking *a, struct buf *text)
{
	json_t *messages = messages_of(a);
	struct conversation c = { 0 };
	bool prefix = !strcmp(a->turn[a->n_turns - 1].role, "assistant");
	int status = conversation_make(&c, NULL, NULL, messages, 0, a->e);

	if (status == 0)
		status = chat_write(a->how->codec, &c, json_array_size(messages), !prefix, text, a->e);
	if (status == 0 && prefix)
		status = cut_final(text, messages, a->e);
	conversation_release(&c);
	json_decref(messages);
	return status;
}

/* The prompt of the turns, in the arena; NULL and a sentence. */
static const char *write_prompt(const struct asking *a)
{
	struct buf text = BUF_INIT;
	int status = 0;

	if (a->how->apply_chat_template)
		status = write_chat(a, &text);
	else
		for (size_t i = 0; i < a->n_turns; i++) {
			buf_add(&text, json_string_value(a->turn[i].text), json_string_length(a->turn[i].text));
			buf_adds(&text, a->turn[i].behind);
		}
	const char *made = status == 0 ? arena_strndup(&a->out->mem, buf_str(&text), text.len) : NULL;
	buf_release(&text);
	return made;
}

/* --- requests of a row --- */

static void add_request(struct asking *a, size_t doc, size_t index, const char *context, const char *continuation)
{
	struct exam_asked *out = a->out;

	if (out->n == a->cap)
		out->items = mem_grow(out->items, a->cap = MAX(256, 2 * a->cap), sizeof(*out->items));
	out->items[out->n++] = (struct exam_request){ .doc = doc, .index = index, .context = context,
		                                      .continuation = continuation };
}

/* What stands between a context and a choice. */
static const char *delimiter_of(const struct asking *a)
{
	const json_t *prefix = a->t->prefix.value;

	if (!a->how->apply_chat_template)
		return a->t->target_delimiter;
	return prefix && json_string_length(prefix) && !ends_space(prefix) ? a->t->target_delimiter : "";
}

static const char *kept(struct asking *a, const char *before, const json_t *text)
{
	return arena_printf(&a->out->mem, "%s%s", before, json_string_value(text));
}

static int ask_choices(struct asking *a, size_t i, const char *context, const json_t *choices)
{
	size_t k;
	json_t *one;

	json_array_foreach((json_t *)(uintptr_t)choices, k, one)
		add_request(a, i, k, context, kept(a, delimiter_of(a), one));
	for (size_t m = 0; m < a->t->n_metrics; m++) /* log p(choice) alone, for what the context adds */
		if (!strcmp(a->t->metric[m].name, "acc_mutual_info"))
			json_array_foreach((json_t *)(uintptr_t)choices, k, one)
				add_request(a, i, json_array_size(choices) + k, "", kept(a, delimiter_of(a), one));
	return 0;
}

/* Each choice is a context, what follows is the same for all. */
static int ask_inputs(struct asking *a, size_t i, const json_t *choices, const json_t *target, const json_t *prefix)
{
	size_t before = a->n_turns, k;
	json_t *one;
	int status = 0;

	if (!json_is_string(target))
		return err_set(a->e, "doc_to_target gives no text");
	json_array_foreach((json_t *)(uintptr_t)choices, k, one) {
		const char *context = NULL;
		if (status == 0)
			status = qa_turns(a, json_incref(one), NULL, NULL, prefix, "", "");
		if (status == 0 && !(context = write_prompt(a)))
			status = -1;
		if (status == 0)
			add_request(a, i, k, context, kept(a, delimiter_of(a), target));
		drop_turns(a, before);
	}
	return status;
}

static int ask_one(struct asking *a, size_t i, json_t *q, const json_t *choices, const json_t *target,
                   const json_t *prefix)
{
	const char *context;

	if (!json_is_string(q))
		return err_set(a->e, "doc_to_text gives no text");
	if (a->t->output == EXAM_ROLLING) {
		if (!json_is_string(target))
			return err_set(a->e, "doc_to_target gives no text");
		add_request(a, i, 0, "", kept(a, "", target));
		return 0;
	}
	if (qa_turns(a, json_incref(q), NULL, NULL, prefix, a->t->target_delimiter, "") < 0 ||
	    !(context = write_prompt(a)))
		return -1;
	if (a->t->output == EXAM_MULTIPLE_CHOICE)
		return ask_choices(a, i, context, choices);
	if (a->t->output == EXAM_LOGLIKELIHOOD && !json_is_string(target))
		return err_set(a->e, "doc_to_target gives no text");
	add_request(a, i, 0, context, a->t->output == EXAM_LOGLIKELIHOOD ? kept(a, "", target) : NULL);
	return 0;
}

/* The system's turn; nothing where there are no words. */
static int add_system(struct asking *a, const json_t *doc)
{
	json_t *words = exam_words(&a->t->description, doc, a->e);
	json_t *own = json_string(a->how->system_instruction ? a->how->system_instruction : "");
	json_t *all = words ? joined(own, a->t->fewshot_delimiter, words) : NULL;

	if (all && json_string_length(all))
		add_turn(a, "system", json_incref(all), "");
	json_decref(words);
	json_decref(own);
	json_decref(all);
	return all ? 0 : -1;
}

static int ask_row(struct asking *a, size_t i)
{
	const struct exam *t = a->t;
	const json_t *doc = json_array_get(t->docs, i);
	json_t *q = NULL, *c = NULL, *target = NULL, *prefix = NULL;
	int status = add_system(a, doc);

	if (status == 0)
		status = add_shots(a, doc);
	if (status == 0)
		status = (q = exam_text(t, &t->text, doc, a->e)) && (target = exam_target(t, &t->target, doc, a->e)) &&
		         (prefix = exam_words(&t->prefix, doc, a->e)) ? 0 : -1;
	if (status == 0 && t->choice.value)
		status = (c = exam_choices(t, &t->choice, doc, a->e)) ? 0 : -1;
	if (status == 0)
		status = t->multiple_input ? ask_inputs(a, i, c, target, prefix) : ask_one(a, i, q, c, target, prefix);
	drop_turns(a, 0);
	json_decref(q);
	json_decref(c);
	json_decref(target);
	json_decref(prefix);
	return status < 0 ? err_prefix(a->e, "%.80s: row %zu", t->name, i + 1) : 0;
}

int exam_ask(const struct exam *t, const struct exam_how *how, struct exam_asked *out, struct err *e)
{
	struct asking a = { .t = t, .how = how, .out = out, .e = e };
	size_t n = json_array_size(t->docs);
	int status = 0;

	*out = (struct exam_asked){ .task = t, .n_docs = how->limit ? MIN(n, (size_t)how->limit) : n };
	a.drawn = mem_array((size_t)t->num_fewshot + 1, sizeof(*a.drawn));
	a.turn = mem_array(TURNS_MOST, sizeof(*a.turn));
	py_random_seed(&a.random, how->seed);
	for (size_t i = 0; i < out->n_docs && status == 0; i++)
		status = ask_row(&a, i);
	mem_free(a.drawn);
	mem_free(a.turn);
	if (status < 0)
		exam_asked_release(out);
	return status;
}

size_t exam_first_of(const struct exam_asked *a, size_t row)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (a->items[middle].doc < row)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void exam_asked_some(const struct exam_asked *a, const size_t *rows, size_t n, struct exam_asked *out)
{
	size_t cap = 0;

	*out = (struct exam_asked){ .task = a->task, .n_docs = a->n_docs };
	for (size_t i = 0; i < n; i++)
		for (size_t q = exam_first_of(a, rows[i]); q < a->n && a->items[q].doc == rows[i]; q++) {
			if (out->n == cap)
				out->items = mem_grow(out->items, cap = MAX(256, 2 * cap), sizeof(*out->items));
			out->items[out->n++] = a->items[q];
		}
}

void exam_asked_release(struct exam_asked *a)
{
	for (size_t i = 0; i < a->n; i++)
		json_decref(a->items[i].answers);
	mem_free(a->items);
	arena_release(&a->mem);
	*a = (struct exam_asked){ 0 };
}
