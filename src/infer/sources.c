/* sources: a question is searched, what was found is fetched and written in the template's place. Of rows it is done
 * for each in turn, and what was found is kept, so that one source can be left out later. See sources.h. */
#include "infer/sources.h"

#include <string.h>

#include "base/clock.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "data/asked.h"
#include "data/chat_fit.h"
#include "token/parted.h"

/* --- one question --- */

static int retrieve(struct sources *s, const char *text, size_t n, struct err *e)
{
	if (s->again)
		return 0;
	struct index_query q = { .text = text, .n = n, .retriever = s->retriever, .top_k = s->num,
	                         .mmr = 1 };
	float *vector = s->retriever == RETRIEVER_BM25 ? NULL : mem_array(s->embedder.width, sizeof(*vector));
	double began = clock_seconds();
	int status = vector ? index_embed(&s->embedder, &(struct index_span){ text, n }, 1, true, vector, e) : 0;

	q.vector = vector;
	s->n_hits = status == 0 ? index_search(s->index, &q, s->pool, s->hits) : 0;
	s->seconds += clock_seconds() - began;
	s->asked++;
	mem_free(vector);
	return status;
}

static json_t *told(const struct sources *s, size_t i, const struct index_text *t)
{
	json_t *one = json_pack("{s:s, s:f}", "id", t->id, "score", s->hits[i].score);

	if (t->of > 1)
		json_object_set_new(one, "chunk", json_integer(t->place));
	if (!s->texts)
		return one;
	json_object_set_new(one, "number", json_integer((json_int_t)i + 1));
	json_object_set_new(one, "text", jsonx_text(t->text, strlen(t->text)));
	if (t->title && *t->title)
		json_object_set_new(one, "title", jsonx_text(t->title, strlen(t->title)));
	if (t->source)
		json_object_set_new(one, "source", jsonx_path(t->source));
	return one;
}

/* "[1] text", an empty line between two, but for one (n: all); list (or NULL): what they are. */
static int write_documents(struct sources *s, size_t n, size_t but, struct buf *out, json_t *list, struct err *e)
{
	int status = 0;

	for (size_t i = 0; i < n && status == 0; i++) {
		struct arena mem = ARENA_INIT;
		struct index_text t;
		if (i == but)
			continue;
		status = index_fetch(s->index, s->hits[i].chunk, &mem, &t, e);
		if (status == 0 && list)
			json_array_append_new(list, told(s, i, &t));
		if (status == 0) {
			buf_addf(out, "%s[%zu] ", out->len ? "\n\n" : "", i + 1);
			buf_adds(out, t.text);
		}
		arena_release(&mem);
	}
	return status < 0 ? -1 : special_tokens_part(s->tokenizer, out, &s->guarded, e);
}

/* The template with both in their places. */
static void fill_form(const struct sources *s, const struct buf *documents, const char *question, size_t n,
                      struct buf *out)
{
	static const char here[] = "{documents}", there[] = "{question}";

	for (const char *at = s->form; *at;) {
		if (!strncmp(at, here, strlen(here))) {
			buf_add(out, buf_str(documents), documents->len);
			at += strlen(here);
		} else if (!strncmp(at, there, strlen(there))) {
			buf_add(out, question, n);
			at += strlen(there);
		} else {
			buf_addc(out, *at++);
		}
	}
}

/* asked: what is looked for; text: what the question is in the prompt. */
static int place(struct sources *s, const char *asked, size_t n_asked, const char *text, size_t n, struct buf *out,
                 json_t *list, struct err *e)
{
	struct buf documents = BUF_INIT;
	int status = retrieve(s, asked, n_asked, e);

	if (status == 0)
		status = write_documents(s, s->n_hits, s->again ? s->but : s->n_hits, &documents, list, e);
	if (status == 0 && s->n_hits)
		fill_form(s, &documents, text, n, out);
	else if (status == 0)
		buf_add(out, text, n); /* nothing is found: it is asked as it is */
	buf_release(&documents);
	return status;
}

int sources_text(struct sources *s, const char *text, size_t n, struct buf *out, json_t **found, struct err *e)
{
	*found = json_array();
	return place(s, text, n, text, n, out, *found, e);
}

int sources_text_without(struct sources *s, const char *text, size_t n, size_t which, struct buf *out, struct err *e)
{
	struct buf documents = BUF_INIT;
	int status = write_documents(s, s->n_hits, which, &documents, NULL, e);

	if (status == 0)
		fill_form(s, &documents, text, n, out);
	buf_release(&documents);
	return status;
}

/* --- rows --- */

/* The column that holds the question as one text; NULL: there is none. */
static const char *text_column(const json_t *row)
{
	static const char *const names[] = { "query", "prompt", "instruction", NULL };

	for (size_t i = 0; names[i]; i++)
		if (json_is_string(json_object_get(row, names[i])))
			return names[i];
	return NULL;
}

static json_t *replaced(struct sources *s, const json_t *text, const struct buf *asked, json_t *list, struct err *e)
{
	struct buf out = BUF_INIT;
	int status = place(s, buf_str(asked), asked->len, json_string_value(text), json_string_length(text), &out, list,
	                   e);
	json_t *made = status == 0 ? json_stringn(buf_str(&out), out.len) : NULL;

	buf_release(&out);
	return made;
}

/* The last user's turn of a list of messages in any form, and its text, new; NULL: there is none that is a text. */
static json_t *last_question(json_t *list, const char **key, json_t **text)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *m = json_array_get(list, i);
		const char *role = json_string_value(json_object_get(m, "role")),
		           *from = json_string_value(json_object_get(m, "from"));
		bool asks = role ? !strcmp(role, "user") : from && (!strcmp(from, "human") || !strcmp(from, "user"));
		*key = role ? "content" : "value";
		if (asks && (*text = chat_text(json_object_get(m, *key))))
			return m;
	}
	return NULL;
}

/* Into the last question of a list of messages, which is changed. 1: there is none. */
static int place_in(struct sources *s, json_t *messages, json_t *list, struct err *e)
{
	const char *key = NULL;
	json_t *text = NULL, *m = last_question(messages, &key, &text), *made;
	struct buf asked = BUF_INIT;

	if (!m)
		return 1;
	buf_add(&asked, json_string_value(text), json_string_length(text));
	made = replaced(s, text, &asked, list, e);
	if (made)
		json_object_set_new(m, key, made);
	buf_release(&asked);
	json_decref(text);
	return made ? 0 : -1;
}

static int place_turn(struct sources *s, json_t *row, const char *column, json_t *list, struct err *e)
{
	json_t *all = json_deep_copy(json_object_get(row, column));
	int status = place_in(s, all, list, e);

	if (status == 0)
		json_object_set(row, column, all);
	json_decref(all);
	return status == 1 ? err_set(e, "no user's turn that is a text, before which sources could stand") : status;
}

static int place_row(struct sources *s, const struct row *r, json_t **out, json_t *list, struct err *e)
{
	static const char *const columns[] = { "messages", "conversations", "prompt" };
	const char *column = text_column(r->json);
	struct buf asked = BUF_INIT;
	int status = -1;

	*out = json_copy(r->json);
	if (column) {
		status = asked_text(&asked, r, e);
		json_t *made = status == 0 ? replaced(s, json_object_get(r->json, column), &asked, list, e) : NULL;
		status = made ? json_object_set_new(*out, column, made) : -1;
		buf_release(&asked);
		return status;
	}
	for (size_t i = 0; i < ARRAY_LEN(columns); i++)
		if (json_is_array(json_object_get(r->json, columns[i])))
			return place_turn(s, *out, columns[i], list, e);
	return err_set(e, "no query, prompt, messages or instruction, before which sources could stand");
}

static void forget_kept(struct sources *s)
{
	for (size_t i = 0; i < s->n_kept; i++)
		mem_free(s->kept[i].hits);
	mem_free(s->kept);
	s->kept = NULL;
	s->n_kept = 0;
}

int sources_rows(struct sources *s, const struct rows *rows, struct rows *out, json_t **found, struct err *e)
{
	int status = 0;

	forget_kept(s);
	*out = (struct rows){ .items = mem_array(rows->n + 1, sizeof(*out->items)), .cap = rows->n,
		              .shape = rows->shape };
	memcpy(out->hash, rows->hash, sizeof(out->hash));
	s->n_kept = rows->n;
	s->kept = mem_array(rows->n + 1, sizeof(*s->kept));
	for (size_t i = 0; i < rows->n && status == 0; i++) {
		const struct row *r = &rows->items[i];
		json_t *made = NULL, *list = json_array();
		status = stop_look(e, "sources were looked for") < 0 ? -1 : place_row(s, r, &made, list, e);
		if (status < 0 && !stop_ended(e))
			err_prefix(e, "%s:%zu", r->file, r->line);
		s->kept[i] = (struct kept_hits){ mem_array(s->n_hits + 1, sizeof(*s->hits)), s->n_hits };
		memcpy(s->kept[i].hits, s->hits, s->n_hits * sizeof(*s->hits));
		out->items[out->n++] = (struct row){ made ? made : json_object(), r->file, r->line };
		if (found)
			found[i] = json_incref(list);
		json_decref(list);
	}
	return status;
}

size_t sources_kept(const struct sources *s, size_t row) { return s->kept[row].n; }

int sources_row_without(struct sources *s, const struct row *r, size_t row, size_t which, json_t **made, struct err *e)
{
	json_t *list = json_array();

	s->n_hits = s->kept[row].n;
	memcpy(s->hits, s->kept[row].hits, s->n_hits * sizeof(*s->hits));
	s->again = true;
	s->but = which;
	int status = place_row(s, r, made, list, e);
	s->again = false;
	json_decref(list);
	return status;
}

void sources_show(const json_t *found)
{
	const json_t *one;
	size_t i;

	json_array_foreach(found, i, one)
		log_say("[%zu] %s  %.4f", i + 1, json_string_value(json_object_get(one, "id")),
		        json_real_value(json_object_get(one, "score")));
	if (!json_array_size(found))
		log_say("no source was found");
}

/* --- opening --- */

int sources_begin(struct sources *s, const struct sources_how *how, struct pool *pool,
                  const struct tokenizer *tokenizer, struct err *e)
{
	*s = (struct sources){ .path = mem_strdup(how->index), .pool = pool, .tokenizer = tokenizer,
		               .form = mem_strdup(how->form ? how->form : SOURCES_TEMPLATE), .num = how->num,
		               .watched = how->watched, .texts = how->watched };
	if ((s->watched ? index_open_watched(&s->index, s->path, e) : index_open(&s->index, s->path, false, e)) < 0 ||
	    retriever_of(how->retriever, s->index, &s->retriever, e) < 0)
		return -1;
	s->hits = mem_array(MAX(s->num, (size_t)SOURCES_MOST), sizeof(*s->hits));
	return 0;
}

void sources_how_of(struct sources_how *how, const json_t *documents)
{
	const char *retriever = json_string_value(json_object_get(documents, "retriever"));

	*how = (struct sources_how){ .index = json_string_value(json_object_get(documents, "index")),
		                     .retriever = retriever ? retriever : "auto",
		                     .form = json_string_value(json_object_get(documents, "template")),
		                     .num = (size_t)MAX(json_integer_value(json_object_get(documents, "num")), 1) };
}

/* Do both want a question's vector by the same model? */
static bool same_embedder(const struct index *a, const struct index *b)
{
	const char *x = index_settings(a)->embedder_hash, *y = index_settings(b)->embedder_hash;

	return index_settings(a)->width == index_settings(b)->width && (x && y ? !strcmp(x, y) : x == y);
}

/* What was committed since. */
static int look_again(struct sources *s, struct err *e)
{
	struct index *now = NULL;

	if (!index_changed(s->index))
		return 0;
	if (index_open_watched(&now, s->path, e) < 0)
		return -1;
	if (!same_embedder(s->index, now)) {
		index_close(now);
		return err_set(e, "%s has another embedder now", s->path);
	}
	index_close(s->index);
	s->index = now;
	return 0;
}

int sources_messages(struct sources *s, const json_t *messages, size_t num, json_t **made, json_t **found,
                     struct err *e)
{
	*made = json_deep_copy(messages);
	*found = json_array();
	s->num = MIN(num, (size_t)SOURCES_MOST);
	return look_again(s, e) < 0 ? -1 : place_in(s, *made, *found, e);
}

void sources_close(struct sources *s)
{
	index_embedder_close(&s->embedder);
	index_close(s->index);
	forget_kept(s);
	mem_free(s->hits);
	mem_free(s->form);
	mem_free(s->path);
	*s = (struct sources){ 0 };
}
