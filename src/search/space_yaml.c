/* space_yaml: libyaml's events become nodes. */
#include "search/space_yaml.h"

#include <stdbool.h>
#include <string.h>

#include "base/yaml_events.h"

enum { DEPTH_MOST = 8 };

struct reader {
	struct yaml_events events;
	struct arena *mem;
};

static int fail(struct reader *r, const char *what) { return yaml_events_fail(&r->events, what); }

static int next(struct reader *r) { return yaml_events_next(&r->events); }

static const char *scalar(struct reader *r)
{
	const yaml_event_t *v = &r->events.event;
	const char *text = (const char *)v->data.scalar.value;

	if (strlen(text) == v->data.scalar.length)
		return arena_strdup(r->mem, text);
	fail(r, "a text must not hold a zero byte");
	return NULL;
}

static bool has_anchor(const yaml_event_t *v)
{
	return v->type == YAML_ALIAS_EVENT || (v->type == YAML_SCALAR_EVENT && v->data.scalar.anchor) ||
	       (v->type == YAML_SEQUENCE_START_EVENT && v->data.sequence_start.anchor) ||
	       (v->type == YAML_MAPPING_START_EVENT && v->data.mapping_start.anchor);
}

static struct yaml_node *read_node(struct reader *r, int depth);

/* Checks and keeps the key that is read. */
static const char *read_key(struct reader *r, const struct yaml_node *map)
{
	if (r->events.event.type != YAML_SCALAR_EVENT) {
		fail(r, "a name was wanted before a colon");
		return NULL;
	}
	const char *key = scalar(r);
	for (const struct yaml_node *n = map->first; key && n; n = n->next)
		if (!strcmp(n->key, key)) {
			err_set(r->events.e, "%s line %zu: %s is given twice", r->events.where,
			        r->events.event.start_mark.line + 1, key);
			return NULL;
		}
	return key;
}

static int read_inside(struct reader *r, struct yaml_node *of, int depth)
{
	struct yaml_node **end = &of->first;

	for (;; end = &(*end)->next) {
		const char *key = NULL;
		if (next(r) < 0)
			return -1;
		if (r->events.event.type == YAML_SEQUENCE_END_EVENT || r->events.event.type == YAML_MAPPING_END_EVENT)
			return 0;
		if (of->kind == YAML_MAP && (!(key = read_key(r, of)) || next(r) < 0))
			return -1;
		struct yaml_node *node = read_node(r, depth + 1);
		if (!node)
			return -1;
		node->key = key;
		*end = node;
	}
}

/* The node whose first event is read. */
static struct yaml_node *read_node(struct reader *r, int depth)
{
	struct yaml_node *node = arena_alloc(r->mem, sizeof(*node));

	node->line = r->events.event.start_mark.line + 1;
	if (has_anchor(&r->events.event) || depth > DEPTH_MOST) {
		fail(r, depth > DEPTH_MOST ? "it is nested too deep" : "anchors and aliases are not used here");
		return NULL;
	}
	if (r->events.event.type == YAML_SCALAR_EVENT) {
		node->kind = YAML_TEXT;
		node->text = scalar(r);
		return node->text ? node : NULL;
	}
	node->kind = r->events.event.type == YAML_SEQUENCE_START_EVENT ? YAML_LIST : YAML_MAP;
	return read_inside(r, node, depth) < 0 ? NULL : node;
}

static struct yaml_node *read_stream(struct reader *r)
{
	if (next(r) < 0 || next(r) < 0) /* the stream's start, the document's */
		return NULL;
	if (r->events.event.type == YAML_STREAM_END_EVENT) {
		struct yaml_node *empty = arena_alloc(r->mem, sizeof(*empty));
		*empty = (struct yaml_node){ .kind = YAML_MAP, .line = 1 };
		return empty;
	}
	struct yaml_node *root = next(r) < 0 ? NULL : read_node(r, 0);
	if (!root || next(r) < 0 || next(r) < 0) /* the document's end, the stream's */
		return NULL;
	if (r->events.event.type == YAML_STREAM_END_EVENT)
		return root;
	fail(r, "a second document is not used here");
	return NULL;
}

struct yaml_node *yaml_tree(struct arena *mem, const char *text, size_t n, const char *where, struct err *e)
{
	struct reader r = { .mem = mem };

	yaml_events_open(&r.events, text, n, where, e);
	struct yaml_node *root = read_stream(&r);
	yaml_events_close(&r.events);
	return root;
}
