/* columns: a tally by name. See columns.h. */
#include "data/columns.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/conversation.h"
#include "data/shape.h"

enum { TRIED = 8 }; /* rows that are looked at; then those whose number is a power of two */

/* A row's number, its origin, what was measured of it. */
static const char *const about[] = {
	"id",       "_id",      "idx",      "index",   "uid",     "uuid",    "source",  "dataset",  "dataset_name",
	"origin",   "url",      "link",     "meta",    "metadata", "license", "language", "lang",   "split",
	"category", "topic",    "tags",     "task",    "task_type", "subset", "hash",    "date",    "timestamp",
	"created",  "created_at", "author", "model",   "score",   "version", "title",   "finish_reason",
	"canary",
};

static const char *const about_ends[] = { "_id", "_idx", "_index", "_hash", "_score", "_source", "_url" };

static struct row_column *find(struct columns *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->items[i].name, name))
			return &c->items[i];
	if (c->n == c->cap) {
		c->cap = MAX(16, 2 * c->cap);
		c->items = mem_grow(c->items, c->cap, sizeof(*c->items));
	}
	c->items[c->n] = (struct row_column){ .name = mem_strdup(name) };
	return &c->items[c->n++];
}

struct row_column *columns_meet(struct columns *c, const char *name, const struct row *r, bool *try)
{
	struct row_column *x = find(c, name);

	if (!x->rows || x->last != r->line || !x->file || strcmp(x->file, r->file) != 0) {
		if (!x->rows++) {
			x->file = r->file;
			x->line = r->line;
		}
		x->last = r->line;
	}
	if (try)
		*try = !x->read && (x->rows <= TRIED || !(x->rows & (x->rows - 1)));
	return x;
}

bool column_is_empty(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_string(v) && !json_string_length(v)) ||
	       (json_is_array(v) && !json_array_size(v)) || (json_is_object(v) && !json_object_size(v));
}

static bool is_named(const char *key, const char *const *names)
{
	for (; names && *names; names++)
		if (!strcmp(key, *names))
			return true;
	return false;
}

static bool is_read(const struct shape *s, const char *key, bool templated, const char *const *also)
{
	static const char *const usual[] = { "prompt", "messages", NULL };

	return is_named(key, also) || (s ? shape_reads(s, key) : is_named(key, usual)) ||
	       (templated && conversation_takes(key));
}

static void look_inside(struct columns *c, const struct row *r, const char *outer)
{
	const json_t *inner = json_object_get(r->json, outer);
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)inner, key, v) {
		if (column_is_empty(v) || !strcmp(key, "messages") || conversation_takes(key))
			continue;
		char *name = mem_printf("%s.%s", outer, key);
		columns_meet(c, name, r, NULL);
		mem_free(name);
	}
}

void columns_look(struct columns *c, const struct shape *s, const struct row *r, bool templated,
                  const char *const *also)
{
	const char *key;
	json_t *v;

	json_object_foreach(r->json, key, v)
		if (!column_is_empty(v) && !is_read(s, key, templated && !(s && s->with), also))
			columns_meet(c, key, r, NULL);
	if (s && s->with)
		look_inside(c, r, s->with);
}

bool column_unread(const struct row_column *c) { return !c->read; }

/* About the row, not for the model: "id", "source", … */
static bool column_is_about(const struct row_column *c)
{
	for (size_t i = 0; i < ARRAY_LEN(about); i++)
		if (!strcmp(c->name, about[i]))
			return true;
	for (size_t i = 0; i < ARRAY_LEN(about_ends); i++)
		if (text_stem(c->name, about_ends[i]))
			return true;
	return false;
}

void column_say(const struct row_column *c, char *out, size_t size)
{
	snprintf(out, size, "\"%.80s\", %s (%zu row%s, the first %.160s:%zu)", c->name,
	         c->by_template ? "of which the chat template writes nothing" : "a column that nothing reads", c->rows,
	         c->rows == 1 ? " has it" : "s have it", c->file, c->line);
}

void columns_warn(const struct columns *c)
{
	char line[400];

	for (size_t i = 0; i < c->n; i++) {
		if (!column_unread(&c->items[i]) || column_is_about(&c->items[i]))
			continue;
		column_say(&c->items[i], line, sizeof(line));
		log_warn("not read: %s", line);
	}
}

void columns_release(struct columns *c)
{
	for (size_t i = 0; i < c->n; i++)
		mem_free(c->items[i].name);
	mem_free(c->items);
	*c = (struct columns){ 0 };
}
