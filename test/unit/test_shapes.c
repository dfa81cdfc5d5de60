/* test_shapes: what every row of the shape table must satisfy, on the row's own example: it is recognized, also
 * beside columns of others' names; it becomes documents that learn something, with roles that it has, in one group if
 * there are several; it asks what it says; a column missing or of another type is named. */
#include <string.h>

#include "../test.h"

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/conversation.h"
#include "data/document.h"
#include "data/prompts.h"
#include "data/shape.h"

struct room {
	struct tokenizer *tokenizer;
	struct template *chat;
	struct template *all;          /* writes whatever a conversation may have */
};

static void room_open(struct test *t, struct room *r)
{
	struct err e = ERR_INIT;
	char *dir = io_join(test_golden(), "llama"), *path = io_join(dir, "tokenizer.json"),
	     *config_path = io_join(dir, "tokenizer_config.json");
	json_t *j = jsonx_load_file(path, &e), *config = jsonx_load_file(config_path, &e);

	r->tokenizer = tokenizer_from_json(j, config, path, &e);
	CHECK_MSG(t, r->tokenizer, "%s", e.msg);
	r->chat = template_parse("{% for m in messages %}<|begin|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
	                         "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}",
	                         &e);
	CHECK_MSG(t, r->chat, "%s", e.msg);
	r->all = template_parse("{{ tools | tojson }}{{ mode }}{{ parallel_tool_calls }}"
	                        "{% for m in messages %}<|begin|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
	                        "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}",
	                        &e);
	CHECK_MSG(t, r->all, "%s", e.msg);
	json_decref(j);
	json_decref(config);
	mem_free(dir);
	mem_free(path);
	mem_free(config_path);
}

static int load(struct rows *r, const json_t *row, struct err *e)
{
	char *path = io_join(test_tmp(), "shape.jsonl"), *line = jsonx_line(row);
	int status = io_write(path, line, strlen(line), e) < 0 ? -1 : rows_load(r, path, e);

	mem_free(line);
	mem_free(path);
	return status;
}

static void check_documents(struct test *t, const struct room *room, const struct shape *s, const json_t *row,
                            bool eval)
{
	struct text_codec c = { room->tokenizer, room->chat };
	struct document_options o = { .max_length = 256, .eval_choices = eval };
	struct err e = ERR_INIT;
	struct rows rows;
	struct documents d;
	size_t n_roles = 0;

	while (s->roles[n_roles])
		n_roles++;
	CHECK_MSG(t, load(&rows, row, &e) == 0 && documents_make(&d, &rows, &c, &o, &e) == 0, "%s", e.msg);
	if (e.msg[0])
		return;
	CHECK(t, rows.shape == s && d.n > 0);
	for (size_t i = 0; i < d.n; i++) {
		const struct document *x = &d.items[i];
		CHECK(t, s->asks_only ? x->n_learn == 0 : x->n_learn > 0);
		CHECK(t, x->role >= 0 && (size_t)x->role < MAX(n_roles, (size_t)1));
		CHECK(t, x->joined == (n_roles > 0 && i > 0));
		CHECK(t, (x->choice >= 0) == (eval && s->judged == JUDGED_CHOICES));
	}
	documents_release(&d);
	rows_release(&rows);
}

/* Without one of its columns, or with one of another type, it is not this shape. */
static void check_columns(struct test *t, const struct shape *s, const json_t *row)
{
	for (size_t i = 0; i < SHAPE_COLUMNS && s->columns[i].key; i++) {
		json_t *less = json_copy((json_t *)row), *wrong = json_copy((json_t *)row);
		struct err e = ERR_INIT;
		struct rows rows;

		json_object_del(less, s->columns[i].key);
		CHECK(t, shape_of(less) != s);
		bool number = s->columns[i].need == NEED_CLASS;
		json_object_set_new(wrong, s->columns[i].key, number ? json_pack("[f]", 0.5) : json_real(0.5));
		CHECK(t, shape_of(wrong) != s);
		if (!shape_of(wrong)) {
			CHECK(t, load(&rows, wrong, &e) < 0);
			CHECK_MSG(t, strstr(e.msg, s->columns[i].key) && strstr(e.msg, "0.5"), "%s", e.msg);
		}
		json_decref(less);
		json_decref(wrong);
	}
}

static void check_shape(struct test *t, const struct room *room, const struct shape *s)
{
	struct err e = ERR_INIT;
	json_t *row = jsonx_load(s->example, strlen(s->example), s->name, &e);

	test_case(t, "%s", s->name);
	CHECK_MSG(t, row, "%s", e.msg);
	CHECK(t, shape_of(row) == s);
	check_columns(t, s, row);
	check_documents(t, room, s, row, false);
	check_documents(t, room, s, row, true);
	if (s->ask || s->asks) {
		json_t *asked = shape_ask(s, row, &e);
		CHECK_MSG(t, json_is_string(asked) || json_is_array(asked), "%s", e.msg);
		json_decref(asked);
	}
	json_object_set_new(row, "another", json_string("kept"));
	CHECK(t, shape_of(row) == s);
	json_decref(row);
}

/* --- every column in every shape: used, or named --- */

/* What stands in a column that is there. */
static json_t *sample_of(const char *key)
{
	if (!strcmp(key, "tools") || !strcmp(key, "functions"))
		return json_pack("[{s:s, s:{}}]", "name", "tool", "parameters");
	if (!strcmp(key, "chat_template_kwargs"))
		return json_pack("{s:s}", "mode", "slow");
	if (!strcmp(key, "history"))
		return json_pack("[[s, s]]", "before", "answered");
	if (!strcmp(key, "parallel_tool_calls"))
		return json_true();
	return json_string("sample");
}

struct seen {
	char *ids;                     /* of all documents, or of what asks, as a text */
	bool named;                    /* the column is told to be read by nobody */
	bool refused;
};

static void add_ids(struct buf *out, const int32_t *ids, const uint8_t *learn, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%d%s ", ids[i], learn && learn[i] ? "!" : "");
}

static bool is_named(const struct columns *c, const char *key)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strncmp(c->items[i].name, key, strlen(key)) && column_unread(&c->items[i]))
			return true;
	return false;
}

static struct seen see_documents(const struct text_codec *c, const json_t *row, const char *name, bool eval)
{
	struct document_options o = { .max_length = 256, .eval_choices = eval };
	struct err e = ERR_INIT;
	struct rows rows = { 0 };
	struct documents d = { 0 };
	struct buf ids = BUF_INIT;
	struct seen s = { .refused = true };

	if (load(&rows, row, &e) == 0 && documents_make(&d, &rows, c, &o, &e) == 0) {
		for (size_t i = 0; i < d.n; i++)
			add_ids(&ids, d.items[i].ids, d.items[i].learn, (size_t)d.items[i].n);
		s = (struct seen){ mem_strdup(buf_str(&ids)), is_named(&d.columns, name), false };
		documents_release(&d);
	}
	rows_release(&rows);
	buf_release(&ids);
	return s;
}

static struct seen see_asked(const struct text_codec *c, const json_t *row, const char *name, bool raw)
{
	struct row r = { .json = (json_t *)row, .file = "row", .line = 1 };
	struct err e = ERR_INIT;
	struct tokens ids = { 0 };
	struct columns columns = { 0 };
	struct buf text = BUF_INIT;
	struct seen s = { .refused = true };

	if (prompt_encode_row(c, &r, &(struct prompt_options){ .raw = raw }, &ids, &columns, &e) == 0) {
		add_ids(&text, ids.id, NULL, ids.n);
		s = (struct seen){ mem_strdup(buf_str(&text)), is_named(&columns, name), false };
	}
	tokens_release(&ids);
	columns_release(&columns);
	buf_release(&text);
	return s;
}

static void check_seen(struct test *t, const char *how, const struct shape *s, const char *name, struct seen without,
                       struct seen with)
{
	bool used = with.ids && without.ids && strcmp(with.ids, without.ids) != 0;

	if (!without.refused)
		CHECK_MSG(t, with.refused || used != with.named, "%s, %s, %s: %s", how, s->name, name,
		          used ? "used, and named as unread" : "neither used nor named");
	mem_free(with.ids);
	mem_free(without.ids);
}

/* The right answer beside a prompt: read by the rules that judge answers (train/reward.h), in no document. */
static bool is_for_judges(const struct shape *s, const char *key)
{
	for (size_t i = 0; s->asks_only && s->more && s->more[i]; i++)
		if (!strcmp(s->more[i], key))
			return true;
	return false;
}

static void check_column(struct test *t, const struct room *room, const struct shape *s, const char *key)
{
	struct err e = ERR_INIT;
	struct text_codec chat = { room->tokenizer, room->all }, bare = { room->tokenizer, NULL };
	if (is_for_judges(s, key))
		return;
	json_t *row = jsonx_load(s->example, strlen(s->example), s->name, &e), *more = json_deep_copy(row);
	char *name = s->with ? mem_printf("%s.%s", s->with, key) : mem_strdup(key);

	json_object_set_new(s->with ? json_object_get(more, s->with) : more, key, sample_of(key));
	if (json_object_get(s->with ? json_object_get(row, s->with) : row, key) == NULL && shape_of(more) == s) {
		check_seen(t, "documents", s, key, see_documents(&chat, row, name, false),
		           see_documents(&chat, more, name, false));
		check_seen(t, "documents to be scored", s, key, see_documents(&chat, row, name, true),
		           see_documents(&chat, more, name, true));
		check_seen(t, "documents without a template", s, key, see_documents(&bare, row, name, false),
		           see_documents(&bare, more, name, false));
		check_seen(t, "what asks", s, key, see_asked(&chat, row, name, false),
		           see_asked(&chat, more, name, false));
		check_seen(t, "what asks, raw", s, key, see_asked(&chat, row, name, true),
		           see_asked(&chat, more, name, true));
	}
	mem_free(name);
	json_decref(row);
	json_decref(more);
}

/* All columns that any shape or any conversation reads, and one that none does. */
static void check_every_column(struct test *t, const struct room *room)
{
	test_case(t, "every column in every shape is used or named, whoever reads the row");
	for (size_t i = 0; shape_table[i]; i++) {
		const struct shape *s = shape_table[i];
		check_column(t, room, s, "another");
		for (size_t k = 0; conversation_columns[k]; k++)
			check_column(t, room, s, conversation_columns[k]);
		for (size_t j = 0; shape_table[j]; j++)
			for (size_t k = 0; shape_table[j]->more && shape_table[j]->more[k]; k++)
				check_column(t, room, s, shape_table[j]->more[k]);
	}
}

static bool is_all(const struct shape *s, const void *ctx)
{
	(void)s;
	return *(const bool *)ctx;
}

/* lm-eval's split: what str.rstrip() takes from the query belongs to the answer. */
static void check_query_end(struct test *t, const struct room *room)
{
	struct text_codec c = { room->tokenizer, NULL };
	struct document_options o = { .max_length = 256, .eval_choices = true };
	struct err e = ERR_INIT;
	struct rows rows;
	struct documents d;
	struct buf said = BUF_INIT;
	json_t *row = json_pack("{s:s, s:[ss], s:i}", "query", "Which?\xC2\xA0", "choices", "one", "two", "gold", 0);

	test_case(t, "choices: Unicode's white space at the query's end goes before the choice");
	CHECK_MSG(t, load(&rows, row, &e) == 0 && documents_make(&d, &rows, &c, &o, &e) == 0, "%s", e.msg);
	json_decref(row);
	if (e.msg[0])
		return;
	const struct document *x = &d.items[0];
	int32_t from = x->n - x->n_learn;
	tokenizer_decode(room->tokenizer, x->ids + from, (size_t)x->n_learn, true, &said);
	CHECK_MSG(t, !strcmp(buf_str(&said), "\xC2\xA0 one"), "\"%s\"", buf_str(&said));
	buf_release(&said);
	documents_release(&d);
	rows_release(&rows);
}

void test_shapes(struct test *t)
{
	struct room room;
	struct buf names = BUF_INIT;

	room_open(t, &room);
	check_query_end(t, &room);
	for (size_t i = 0; shape_table[i]; i++)
		check_shape(t, &room, shape_table[i]);
	check_every_column(t, &room);

	test_case(t, "names in a list");
	shape_list(is_all, &(bool){ true }, &names);
	for (size_t i = 0; shape_table[i]; i++)
		CHECK(t, strstr(buf_str(&names), shape_table[i]->name));
	buf_clear(&names);
	shape_list(is_all, &(bool){ false }, &names);
	CHECK(t, names.len == 0);
	buf_release(&names);
	template_free(room.chat);
	template_free(room.all);
	tokenizer_free(room.tokenizer);
}
