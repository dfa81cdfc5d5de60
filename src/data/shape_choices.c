/* shape_choices: a query, choices, and which of them is right. Learnt is the gold choice; to be scored, each choice
 * is a document without an EOS.
 *
 * Query and choice are split as lm-eval does: white space at the query's end goes to the answer, and the answer's
 * tokens are those of both together after as many as the query alone has. --apply-chat-template makes the query a
 * user's turn and the choice the answer; a query that is a list of messages is written by the template always. */
#include "data/shape.h"

#include "base/unicode.h"
#include "base/utf8.h"
#include "data/maker.h"

static int check(const struct row *r, struct err *e)
{
	size_t n = json_array_size(json_object_get(r->json, "choices")), i;
	json_int_t gold = json_integer_value(json_object_get(r->json, "gold"));
	const json_t *choice;

	json_array_foreach(json_object_get(r->json, "choices"), i, choice)
		if (!json_is_string(choice) || !json_string_length(choice))
			return err_set(e, "%s:%zu: choice %zu is not a text", r->file, r->line, i);
	if (gold < 0 || (size_t)gold >= n)
		return err_set(e, "%s:%zu: gold is %lld, wanted the index of one of %zu choices, from 0", r->file,
		               r->line, (long long)gold, n);
	return 0;
}

/* What stands before a choice. A template's text has its BOS, and asks for an answer, which begins without a space. */
struct context {
	const char *text;
	size_t n;
	bool rendered;
};

/* The context as far as it is not white space at its end, which goes before the choice. */
static int put_choice(struct maker *m, const struct context *c, const json_t *choice, struct err *e)
{
	struct buf answer = BUF_INIT;
	size_t n = c->n;
	int32_t bos = tokenizer_bos(m->codec->tokenizer), first = bos >= 0 ? bos : tokenizer_eos(m->codec->tokenizer);

	unicode_rstrip(c->text, &n);
	buf_add(&answer, c->text + n, c->n - n);
	buf_adds(&answer, c->rendered ? "" : " ");
	buf_add(&answer, json_string_value(choice), json_string_length(choice));
	maker_begin(m);
	if (!c->rendered)
		maker_bos(m, c->text);
	if (!n && !m->ids.n && first >= 0) /* there must be something to predict from: lm-eval's prefix token */
		maker_put(m, first, false);
	int status = maker_parts(m, c->text, n, buf_str(&answer), answer.len, true, e);
	buf_release(&answer);
	return status;
}

/* One document a choice, without an EOS. */
static int score_choices(struct maker *m, const struct context *c, struct err *e)
{
	size_t gold = (size_t)json_integer_value(json_object_get(m->row->json, "gold")), i;
	const json_t *choice;

	json_array_foreach(json_object_get(m->row->json, "choices"), i, choice) {
		struct document *doc = put_choice(m, c, choice, e) < 0 ? NULL : maker_emit(m, e);
		if (!doc)
			return -1;
		doc->choice = (int32_t)i;
		doc->gold = i == gold;
		doc->choice_chars = (int32_t)utf8_count(json_string_value(choice), json_string_length(choice));
	}
	return 0;
}

/* New. */
static json_t *turns_of(const json_t *query)
{
	return json_is_array(query) ? json_copy((json_t *)query) : json_pack("[o]", maker_turn("user", query));
}

static int score_asked(struct maker *m, const json_t *query, struct err *e)
{
	struct buf asked = BUF_INIT;
	json_t *messages = turns_of(query);
	int status = maker_asked(m, messages, &asked, e);

	if (!status)
		status = score_choices(m, &(struct context){ buf_str(&asked), asked.len, true }, e);
	json_decref(messages);
	buf_release(&asked);
	return status;
}

/* The gold choice as the template's answer, or after the query with an EOS. */
static int learn_gold(struct maker *m, const json_t *query, const json_t *gold, struct err *e)
{
	struct context c = { json_string_value(query), json_string_length(query), false };

	if (json_is_array(query) || m->o->apply_chat_template) {
		json_t *messages = turns_of(query);
		size_t asked = json_array_size(messages);
		json_array_append_new(messages, maker_turn("assistant", gold));
		const struct document *d = maker_chat(m, messages, asked, e);
		json_decref(messages);
		return d ? 0 : -1;
	}
	if (put_choice(m, &c, gold, e) < 0)
		return -1;
	maker_eos(m);
	return maker_emit(m, e) ? 0 : -1;
}

static json_t *answer(const json_t *row)
{
	size_t gold = (size_t)json_integer_value(json_object_get(row, "gold"));

	return json_incref(json_array_get(json_object_get(row, "choices"), gold));
}

static int make(struct maker *m, struct err *e)
{
	const json_t *row = m->row->json, *query = json_object_get(row, "query"),
	             *choices = json_object_get(row, "choices");
	size_t gold = (size_t)json_integer_value(json_object_get(row, "gold"));

	if (!m->o->eval_choices)
		return learn_gold(m, query, json_array_get(choices, gold), e);
	if (json_is_array(query) || m->o->apply_chat_template)
		return score_asked(m, query, e);
	return score_choices(m, &(struct context){ json_string_value(query), json_string_length(query), false }, e);
}

const struct shape shape_choices = {
	.name = "query,choices,gold",
	.example = "{\"query\": \"2 + 2 =\", \"choices\": [\"3\", \"4\"], \"gold\": 1}",
	.columns = { { "query", NEED_TEXT }, { "choices", NEED_LIST }, { "gold", NEED_INDEX } },
	.judged = JUDGED_CHOICES,
	.check = check,
	.make = make,
	.asks = "query",
	.answer = answer,
	.chat = CHAT_IF_APPLIED,
};
