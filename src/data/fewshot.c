/* fewshot: rows with an instruction and examples before them. An example's question and answer are what its shape asks
 * and answers (data/shape.h), so rows of any shape may be examples; what is made is a row of a shape that is there
 * already: of a text its own with a longer question, of turns one whose question is a list of messages. */
#include "data/fewshot.h"

#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/unicode.h"
#include "data/asked.h"
#include "data/columns.h"
#include "data/conversation.h"
#include "data/fewshot_parts.h"
#include "data/instruction.h"
#include "data/shape.h"

struct fewshot {
	struct fewshot_pool pool;
	json_t *saved;             /* what was loaded, or NULL */
};

/* A row that is being made. */
struct making {
	const struct row *row;
	const struct shape *shape; /* or NULL */
	struct fewshot_key key;
	const float *vector;       /* or NULL */
	bool same;                 /* of the file of the examples */
};

/* --- questions and answers --- */

static bool is_alpaca(const struct shape *s) { return s && s->ask == instruction_turns; }

/* The column in which the question stands. */
static const char *column_of(const struct row *r, const struct shape *s)
{
	if (s)
		return s->asks;
	return json_object_get(r->json, "prompt") ? "prompt" : "messages";
}

/* New; NULL and a sentence. */
static json_t *question_of(const struct row *r, const struct shape *s, struct err *e)
{
	if (is_alpaca(s))
		return instruction_turns(r->json, e);
	const char *column = column_of(r, s);
	json_t *asked = column ? json_object_get(r->json, column) : NULL;
	if (json_is_string(asked) || json_is_array(asked))
		return json_incref(asked);
	err_set(e, "rows of %s take no instruction and no examples; those with a question as a text or as messages do",
	        shape_name(s));
	return NULL;
}

int fewshot_key_make(struct fewshot_key *k, const struct row *row, const struct shape *s, struct err *e)
{
	struct buf text = BUF_INIT;
	json_t *asked = question_of(row, s, e), *answer;
	int status = asked ? asked_add(&text, asked, e) : -1;

	*k = (struct fewshot_key){ 0 };
	json_decref(asked);
	if (status < 0) {
		buf_release(&text);
		return -1;
	}
	k->text = mem_strndup(buf_str(&text), text.len);
	json_t *choices = s ? json_object_get(row->json, "choices") : NULL;
	char *more = choices ? jsonx_line(choices) : mem_strdup("");
	k->same = mem_printf("%s\n%s", k->text, more);
	k->hash = hash_64(k->same, strlen(k->same));
	answer = s ? shape_answer(s, row->json) : NULL;
	k->answer = mem_strdup(json_is_string(answer) ? json_string_value(answer) : "");
	json_decref(answer);
	mem_free(more);
	buf_release(&text);
	return 0;
}

void fewshot_key_release(struct fewshot_key *k)
{
	mem_free(k->text);
	mem_free(k->same);
	mem_free(k->answer);
}

/* --- as text --- */

static bool ends_with_space(const char *s, size_t n)
{
	size_t kept = n;

	unicode_rstrip(s, &kept);
	return kept < n;
}

static bool begins_with_space(const char *s, size_t n)
{
	const char *at = s;

	unicode_strip(&at, &n);
	return at > s;
}

static const char *delimiter_of(const struct fewshot *f)
{
	return f->pool.o.delimiter ? f->pool.o.delimiter : "\n\n";
}

/* The wording of a question without a template. */
static int add_question(struct buf *out, const struct row *r, const struct shape *s, struct err *e)
{
	if (is_alpaca(s))
		return instruction_text(r->json, out, e);
	json_t *asked = question_of(r, s, e);
	bool text = json_is_string(asked);
	if (text)
		buf_add(out, json_string_value(asked), json_string_length(asked));
	else if (asked)
		err_set(e, "%s:%zu: an example that is a conversation, and no chat template writes what it stands "
		           "before", r->file, r->line);
	json_decref(asked);
	return text ? 0 : -1;
}

static int add_example(const struct fewshot *f, size_t i, struct buf *out, struct err *e)
{
	const struct row *r = &f->pool.rows->items[i];
	const struct shape *s = f->pool.rows->shape;
	const char *between = f->pool.o.target_delimiter;
	json_t *answer = shape_answer(s, r->json);
	size_t n = json_string_length(answer);
	int status = json_is_string(answer) ? add_question(out, r, s, e) :
	                                      err_set(e, "%s:%zu: an example whose answer is no text, and no chat "
	                                                 "template writes what it stands before", r->file, r->line);

	if (status == 0 && !between)
		between = s->judged == JUDGED_CHOICES && json_object_get(r->json, "choices") ? " " :
		          ends_with_space(buf_str(out), out->len) ||
		          begins_with_space(json_string_value(answer), n)                  ? "" :
		                                                                             " ";
	if (status == 0) {
		buf_adds(out, between);
		buf_add(out, json_string_value(answer), n);
		buf_adds(out, delimiter_of(f));
	}
	json_decref(answer);
	return status;
}

/* Examples of a row, new; NULL and a sentence. */
static size_t *choose(struct fewshot *f, const struct making *m, struct err *e)
{
	size_t *some = mem_array(MAX(f->pool.o.num, (size_t)1), sizeof(*some));

	if (f->pool.o.num &&
	    fewshot_choose(&f->pool, m ? &m->key : NULL, m ? m->vector : NULL, m && m->same, some, e) < 0) {
		mem_free(some);
		return NULL;
	}
	return some;
}

static int add_text(struct fewshot *f, const struct making *m, struct buf *out, struct err *e)
{
	const char *instruction = f->pool.o.instruction;
	const json_t *saved = json_object_get(f->saved, "text");

	if (f->saved && !saved)
		return err_set(e, "what was kept are turns, and no chat template writes what they would stand before");
	buf_add(out, json_string_value(saved), json_string_length(saved));
	if (f->saved)
		return 0;
	size_t *some = choose(f, m, e);
	if (!some)
		return -1;
	if (instruction && *instruction) {
		buf_adds(out, instruction);
		buf_adds(out, ends_with_space(instruction, strlen(instruction)) ? "" : delimiter_of(f));
	}
	int status = 0;
	for (size_t i = 0; i < f->pool.o.num && status == 0; i++)
		status = add_example(f, some[i], out, e);
	mem_free(some);
	return status;
}

/* --- as turns --- */

static bool is_system(const json_t *m)
{
	return !strcmp(message_role(m), "system") || !strcmp(message_role(m), "developer");
}

static json_t *turn(const char *role, const json_t *content)
{
	return json_pack("{s:s, s:O}", "role", role, "content", (json_t *)content);
}

/* A text as a turn of this role, or messages; new, NULL and a sentence. */
static json_t *turns_of(const char *role, const json_t *said, struct err *e)
{
	return json_is_string(said) ? json_pack("[o]", turn(role, said)) : messages_from(said, e);
}

/* Question and answer of an example. */
static int add_turns(const struct fewshot *f, size_t i, json_t *out, struct err *e)
{
	const struct row *r = &f->pool.rows->items[i];
	const struct shape *s = f->pool.rows->shape;
	json_t *asked = question_of(r, s, e), *answer = shape_answer(s, r->json), *turns = NULL, *said = NULL;

	if (asked)
		turns = turns_of("user", asked, e);
	if (turns && answer)
		said = turns_of("assistant", answer, e);
	int status = turns && (said || !answer) ? 0 : -1;
	json_array_extend(turns, said);
	if (status == 0 && is_system(json_array_get(turns, 0)))
		json_array_remove(turns, 0);
	if (status == 0 && !message_is_assistant(json_array_get(turns, json_array_size(turns) - 1)))
		status = err_set(e, "an example that has no answer");
	json_array_extend(out, turns);
	json_decref(asked);
	json_decref(answer);
	json_decref(turns);
	json_decref(said);
	return status ? err_prefix(e, "%s:%zu", r->file, r->line) : 0;
}

/* New; NULL and a sentence. */
static json_t *make_turns(struct fewshot *f, const struct making *m, struct err *e)
{
	const char *instruction = f->pool.o.instruction;
	json_t *saved = json_object_get(f->saved, "messages");

	if (f->saved) {
		if (!saved)
			err_set(e, "what was kept is a text, and turns of a chat template would stand after it: kungfu "
			           "generate --raw puts it before a text");
		return json_copy(saved);
	}
	size_t *some = choose(f, m, e);
	json_t *out = some ? json_array() : NULL;
	int status = 0;
	if (out && instruction && *instruction)
		json_array_append_new(out, json_pack("{s:s, s:s}", "role", "system", "content", instruction));
	for (size_t i = 0; out && i < f->pool.o.num && status == 0; i++)
		status = add_turns(f, some[i], out, e);
	mem_free(some);
	if (status == 0)
		return out;
	json_decref(out);
	return NULL;
}

json_t *fewshot_join(const struct fewshot *f, const json_t *before, const json_t *after)
{
	json_t *messages = json_copy((json_t *)after), *out = json_copy((json_t *)before);
	json_t *own = json_array_get(messages, 0), *first = json_array_get(out, 0);
	const json_t *a = json_object_get(own, "content"), *b = json_object_get(first, "content");

	if (is_system(own) && is_system(first) && json_is_string(a) && json_is_string(b)) {
		struct buf both = BUF_INIT;
		bool space = ends_with_space(json_string_value(a), json_string_length(a)) ||
		             begins_with_space(json_string_value(b), json_string_length(b));
		buf_add(&both, json_string_value(a), json_string_length(a));
		buf_adds(&both, space ? "" : delimiter_of(f));
		buf_add(&both, json_string_value(b), json_string_length(b));
		json_t *merged = json_copy(own);
		json_object_set_new(merged, "content", json_stringn(buf_str(&both), both.len));
		json_array_set_new(out, 0, merged);
		json_array_remove(messages, 0);
		buf_release(&both);
	} else if (is_system(own)) {
		json_array_insert(out, 0, own);
		json_array_remove(messages, 0);
	}
	json_array_extend(out, messages);
	json_decref(messages);
	return out;
}

/* --- rows --- */

/* A template writes it. */
static bool as_turns(const struct fewshot *f, const struct row *r, const struct shape *s)
{
	const struct fewshot_options *o = &f->pool.o;

	if (is_alpaca(s))
		return o->chat || o->template_;
	return o->chat || json_is_array(json_object_get(r->json, column_of(r, s)));
}

/* Alpaca's columns become a prompt and a completion. */
static json_t *text_row(const struct fewshot *f, const struct making *m, const struct buf *asked)
{
	json_t *text = json_stringn(buf_str(asked), asked->len), *out;

	if (!is_alpaca(m->shape)) {
		out = json_copy(m->row->json);
		json_object_set_new(out, column_of(m->row, m->shape), text);
		return out;
	}
	out = json_pack("{s:o}", "prompt", text);
	if (!f->pool.o.asks)
		json_object_set_new(out, "completion", shape_answer(m->shape, m->row->json));
	return out;
}

/* An answer as a text beside a question as turns. */
static void answers_as_turns(json_t *row)
{
	json_t *completion = json_object_get(row, "completion");

	if (json_is_string(completion))
		json_object_set_new(row, "completion", json_pack("[o]", turn("assistant", completion)));
}

/* The row without what its conversation has taken, and with the conversation. */
static json_t *turns_row(const struct fewshot *f, const struct making *m, const struct conversation *x, json_t *all)
{
	static const char *const alpaca[] = { "instruction", "input", "history", "output" };
	json_t *out = json_copy(m->row->json);
	const char *column = column_of(m->row, m->shape);

	for (size_t i = 0; conversation_columns[i]; i++)
		json_object_del(out, conversation_columns[i]);
	for (size_t i = 0; is_alpaca(m->shape) && i < ARRAY_LEN(alpaca); i++)
		json_object_del(out, alpaca[i]);
	if (is_alpaca(m->shape) && !f->pool.o.asks) {
		json_t *answer = shape_answer(m->shape, m->row->json);
		json_array_append_new(all, turn("assistant", answer));
		json_decref(answer);
	}
	bool whole = !column || !strcmp(column, "conversations");
	if (whole && column)
		json_object_del(out, column);
	json_object_set(out, whole ? "messages" : column, all);
	answers_as_turns(out);
	if (x->tools)
		json_object_set(out, "tools", x->tools);
	if (x->more)
		json_object_set(out, "chat_template_kwargs", x->more);
	return out;
}

/* Answers of examples in a conversation of which every answer is judged or learnt. */
static void put_weights(json_t *before)
{
	json_t *m;
	size_t i;

	json_array_foreach(before, i, m)
		if (message_is_assistant(m)) {
			json_t *light = json_copy(m);
			json_object_set_new(light, "weight", json_integer(0));
			json_array_set_new(before, i, light);
		}
}

static json_t *make_of_turns(struct fewshot *f, const struct making *m, struct err *e)
{
	struct conversation x;
	json_t *asked = question_of(m->row, m->shape, e), *messages, *before, *out = NULL;

	if (!asked)
		return NULL;
	messages = json_is_string(asked) ? json_pack("[o]", turn("user", asked)) : json_incref(asked);
	before = make_turns(f, m, e);
	if (before && !f->pool.o.asks && m->shape && m->shape->chat == CHAT_ALWAYS)
		put_weights(before);
	if (before &&
	    conversation_make(&x, m->shape, shape_with(m->shape, m->row->json), messages, 0, e) == 0) {
		json_t *all = fewshot_join(f, before, x.messages);
		out = turns_row(f, m, &x, all);
		json_decref(all);
		conversation_release(&x);
	}
	json_decref(asked);
	json_decref(messages);
	json_decref(before);
	return out;
}

static json_t *make_of_text(struct fewshot *f, const struct making *m, struct err *e)
{
	struct buf text = BUF_INIT;
	json_t *out = NULL;

	if (add_text(f, m, &text, e) == 0 && add_question(&text, m->row, m->shape, e) == 0)
		out = text_row(f, m, &text);
	buf_release(&text);
	return out;
}

static json_t *make_row(struct fewshot *f, const struct making *m, struct err *e)
{
	return as_turns(f, m->row, m->shape) ? make_of_turns(f, m, e) : make_of_text(f, m, e);
}

json_t *fewshot_row(struct fewshot *f, const struct row *row, const struct shape *s, struct err *e)
{
	struct making m = { .row = row, .shape = s };
	json_t *out = NULL;

	if (fewshot_key_make(&m.key, row, s, e) == 0)
		out = make_row(f, &m, e);
	fewshot_key_release(&m.key);
	return out;
}

/* Vectors of all rows at once, where they are wanted; NULL: none. */
static int embed_rows(const struct fewshot *f, const struct making *m, size_t n, float **out, struct err *e)
{
	const struct fewshot_embedder *x = f->pool.o.embedder;
	bool near = f->pool.o.select == FEWSHOT_EMBEDDING || f->pool.o.order == FEWSHOT_SIMILAR_LAST;

	*out = NULL;
	if (!f->pool.vectors || !near)
		return 0;
	const char **texts = mem_array(n, sizeof(*texts));
	for (size_t i = 0; i < n; i++)
		texts[i] = m[i].key.text;
	*out = mem_array(n * x->width, sizeof(**out));
	int status = x->embed(x->ctx, texts, n, *out, e);
	mem_free(texts);
	return status;
}

static int make_rows(struct fewshot *f, struct making *m, const struct rows *rows, struct rows *out, struct err *e)
{
	float *vectors;
	int status = embed_rows(f, m, rows->n, &vectors, e);

	for (size_t i = 0; i < rows->n && status == 0; i++) {
		m[i].vector = vectors ? vectors + i * f->pool.o.embedder->width : NULL;
		json_t *made = stop_look(e, "examples were put before rows") < 0 ? NULL : make_row(f, &m[i], e);
		if (!made) {
			status = -1;
			break;
		}
		out->items[out->n] = rows->items[i];
		out->items[out->n].file = arena_strdup(&out->mem, rows->items[i].file);
		out->items[out->n++].json = made;
	}
	mem_free(vectors);
	return status;
}

int fewshot_apply(struct fewshot *f, const struct rows *rows, struct rows *out, struct err *e)
{
	bool same = f->pool.rows && !strcmp(f->pool.rows->hash, rows->hash);
	struct making *m = mem_array(rows->n, sizeof(*m));
	int status = 0;
	size_t n = 0;

	*out = (struct rows){ .items = mem_array(rows->n, sizeof(*out->items)), .cap = rows->n };
	memcpy(out->hash, rows->hash, sizeof(out->hash));
	for (; n < rows->n && status == 0; n++) {
		m[n] = (struct making){ .row = &rows->items[n], .shape = rows->shape, .same = same };
		if (!rows->shape)
			m[n].shape = shape_of(rows->items[n].json);
		status = fewshot_key_make(&m[n].key, m[n].row, m[n].shape, e);
		if (status < 0)
			err_prefix(e, "%s:%zu", m[n].row->file, m[n].row->line);
	}
	if (status == 0)
		status = make_rows(f, m, rows, out, e);
	if (status == 0 && rows->shape && out->n)
		out->shape = shape_of(out->items[0].json);
	for (size_t i = 0; i < n; i++)
		fewshot_key_release(&m[i].key);
	mem_free(m);
	if (status < 0)
		rows_release(out);
	return status;
}

/* --- what stands before --- */

static int with_key(const struct fewshot *f, const struct row *row, struct making *m, struct err *e)
{
	*m = (struct making){ .row = row, .shape = row ? shape_of(row->json) : NULL };
	if (row)
		return fewshot_key_make(&m->key, row, m->shape, e);
	if (fewshot_is_fixed(f))
		return 0;
	return err_set(e, "examples are chosen for each row: there is no one prompt that all have");
}

int fewshot_text(struct fewshot *f, const struct row *row, struct buf *out, struct err *e)
{
	struct making m;
	int status = with_key(f, row, &m, e);

	if (status == 0)
		status = add_text(f, row ? &m : NULL, out, e);
	fewshot_key_release(&m.key);
	return status;
}

json_t *fewshot_turns(struct fewshot *f, const struct row *row, struct err *e)
{
	struct making m;
	json_t *out = with_key(f, row, &m, e) == 0 ? make_turns(f, row ? &m : NULL, e) : NULL;

	fewshot_key_release(&m.key);
	return out;
}

json_t *fewshot_save(struct fewshot *f, struct err *e)
{
	const struct rows *examples = f->pool.rows;
	struct buf text = BUF_INIT;
	json_t *out = NULL, *turns;

	if (f->saved)
		return json_incref(f->saved);
	if (f->pool.o.chat || (examples && examples->n && as_turns(f, &examples->items[0], examples->shape))) {
		if ((turns = fewshot_turns(f, NULL, e)))
			out = json_pack("{s:i, s:o}", "format", 1, "messages", turns);
	} else if (fewshot_text(f, NULL, &text, e) == 0) {
		out = json_pack("{s:i, s:o}", "format", 1, "text", json_stringn(buf_str(&text), text.len));
	}
	buf_release(&text);
	return out;
}

int fewshot_load(struct fewshot **out, const json_t *saved, const struct fewshot_options *o, struct err *e)
{
	const json_t *text = json_object_get(saved, "text"), *messages = json_object_get(saved, "messages");
	bool right = json_integer_value(json_object_get(saved, "format")) == 1 &&
	             (json_is_string(text) ? !messages : json_is_array(messages));

	if (!right)
		return err_set(e, "{\"format\": 1} with text or messages was wanted");
	*out = mem_alloc(sizeof(**out));
	(*out)->pool.o = *o;
	(*out)->pool.o.num = 0;
	(*out)->saved = json_incref((json_t *)saved);
	return 0;
}

/* --- the whole --- */

bool fewshot_is_fixed(const struct fewshot *f)
{
	enum fewshot_select s = f->pool.o.select;
	bool each = s == FEWSHOT_RANDOM_EACH || s == FEWSHOT_BM25 || s == FEWSHOT_EMBEDDING ||
	            f->pool.o.order == FEWSHOT_SIMILAR_LAST;

	return !f->pool.o.num || !each;
}

size_t fewshot_num(const struct fewshot *f) { return f->pool.o.num; }

static int check_example(const struct rows *examples, size_t i, struct err *e)
{
	const struct row *r = &examples->items[i];
	json_t *answer = shape_answer(examples->shape, r->json);
	bool has = answer || examples->shape->chat == CHAT_ALWAYS;

	json_decref(answer);
	return has ? 0 : err_set(e, "%s:%zu: an example has an answer, a row of %s has none", r->file, r->line,
	                         shape_name(examples->shape));
}

int fewshot_new(struct fewshot **out, const struct rows *examples, const struct fewshot_options *o, struct err *e)
{
	struct fewshot *f = mem_alloc(sizeof(*f));
	int status = 0;

	f->pool.o = *o;
	if (o->num) {
		f->pool.rows = examples;
		f->pool.keys = mem_array(examples->n, sizeof(*f->pool.keys));
		for (size_t i = 0; i < examples->n && status == 0; i++) {
			status = check_example(examples, i, e);
			if (status == 0)
				status = fewshot_key_make(&f->pool.keys[i], &examples->items[i], examples->shape, e);
		}
		if (status == 0)
			status = fewshot_pool_begin(&f->pool, e);
	}
	if (status < 0) {
		fewshot_free(f);
		return -1;
	}
	*out = f;
	return 0;
}

void fewshot_free(struct fewshot *f)
{
	if (!f)
		return;
	fewshot_pool_release(&f->pool);
	json_decref(f->saved);
	mem_free(f);
}
