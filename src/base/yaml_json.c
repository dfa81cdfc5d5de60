/* yaml_json: libyaml's events become JSON, a level a call. What a plain scalar means is PyYAML's resolver (YAML 1.1),
 * told by its first characters and then by the whole of it. It keeps no lines: mistakes of YAML alone have one. */
#include "base/yaml_json.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "base/yaml_events.h"

enum { DEPTH_MOST = 64, BYTES_MOST = 4 << 20, NUMBER_MOST = 60 };

static json_t *fail(struct yaml_events *r, const char *what)
{
	yaml_events_fail(r, what);
	return NULL;
}

/* --- scalars --- */

static bool is_one_of(const char *text, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(text, *list))
			return true;
	return false;
}

/* Digits and underscores after a sign: decimal, or what YAML 1.1 has beside. */
static json_t *number(struct yaml_events *r, const char *text)
{
	char clean[NUMBER_MOST + 1];
	const char *s = text + (*text == '-' || *text == '+');
	size_t n = 0;
	bool point = false;
	char *end;

	if (!isdigit((unsigned char)*s) && !(*s == '.' && isdigit((unsigned char)s[1])))
		return json_string(text);
	for (const char *p = text; *p; p++) {
		bool sign = (*p == '-' || *p == '+') && (p == text || (point && (p[-1] == 'e' || p[-1] == 'E')));
		bool exponent = point && (*p == 'e' || *p == 'E') && (p[1] == '-' || p[1] == '+');
		if (*p == '_')
			continue;
		if ((!isdigit((unsigned char)*p) && !sign && !exponent && !(*p == '.' && !point)) ||
		    n == NUMBER_MOST)
			return json_string(text);
		point |= *p == '.';
		clean[n++] = *p;
	}
	clean[n] = 0;
	errno = 0;
	if (point) {
		double x = strtod(clean, &end);
		return *end || errno ? json_string(text) : json_real(x);
	}
	if (*s == '0' && s[1])
		return fail(r, "a number with a zero before it is octal in YAML 1.1: write it in decimal or in quotes");
	long long i = strtoll(clean, &end, 10);
	return *end || errno ? fail(r, "a whole number is too large") : json_integer(i);
}

static json_t *plain(struct yaml_events *r, const char *text)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const yes[] = { "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON", NULL };
	static const char *const no[] = { "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF", NULL };

	if (is_one_of(text, nulls))
		return json_null();
	if (is_one_of(text, yes))
		return json_true();
	return is_one_of(text, no) ? json_false() : number(r, text);
}

static json_t *scalar(struct yaml_events *r)
{
	const yaml_event_t *v = &r->event;
	const char *text = (const char *)v->data.scalar.value, *tag = (const char *)v->data.scalar.tag;

	if (v->data.scalar.anchor)
		return fail(r, "anchors and aliases are not used here");
	if (strlen(text) != v->data.scalar.length)
		return fail(r, "a text must not hold a zero byte");
	if (!utf8_valid(text, strlen(text), NULL))
		return fail(r, "a text is not UTF-8");
	if (tag && !strcmp(tag, YAML_FUNCTION))
		return json_pack("{s:s}", YAML_FUNCTION, text);
	if (tag && strcmp(tag, "!") && strcmp(tag, YAML_STR_TAG))
		return fail(r, "of tags only !function has a meaning here");
	return tag || v->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ? json_string(text) : plain(r, text);
}

/* --- what holds others --- */

static json_t *node(struct yaml_events *r, int depth);

static json_t *list(struct yaml_events *r, int depth)
{
	json_t *made = json_array();

	for (;;) {
		if (yaml_events_next(r) < 0)
			break;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			return made;
		json_t *item = node(r, depth + 1);
		if (!item)
			break;
		json_array_append_new(made, item);
	}
	json_decref(made);
	return NULL;
}

/* The key that stands there, mem_free. */
static char *key_of(struct yaml_events *r, const json_t *map)
{
	if (r->event.type != YAML_SCALAR_EVENT) {
		fail(r, "a name was wanted before a colon");
		return NULL;
	}
	const char *key = (const char *)r->event.data.scalar.value;
	if (strlen(key) != r->event.data.scalar.length || !utf8_valid(key, strlen(key), NULL) ||
	    r->event.data.scalar.anchor) {
		fail(r, "a name is no plain text");
		return NULL;
	}
	if (json_object_get(map, key)) {
		err_set(r->e, "%s line %zu: %.80s is given twice", r->where, r->event.start_mark.line + 1, key);
		return NULL;
	}
	return mem_strdup(key);
}

static json_t *mapping(struct yaml_events *r, int depth)
{
	json_t *made = json_object(), *item;

	for (;;) {
		if (yaml_events_next(r) < 0)
			break;
		if (r->event.type == YAML_MAPPING_END_EVENT)
			return made;
		char *key = key_of(r, made);
		item = key && yaml_events_next(r) == 0 ? node(r, depth + 1) : NULL;
		if (item)
			json_object_set_new(made, key, item);
		mem_free(key);
		if (!item)
			break;
	}
	json_decref(made);
	return NULL;
}

static json_t *node(struct yaml_events *r, int depth)
{
	const yaml_event_t *v = &r->event;
	bool anchored = v->type == YAML_ALIAS_EVENT ||
	                (v->type == YAML_SEQUENCE_START_EVENT && v->data.sequence_start.anchor) ||
	                (v->type == YAML_MAPPING_START_EVENT && v->data.mapping_start.anchor);

	if (anchored)
		return fail(r, "anchors and aliases are not used here");
	if (depth > DEPTH_MOST)
		return fail(r, "more than 64 levels");
	switch (v->type) {
	case YAML_SCALAR_EVENT: return scalar(r);
	case YAML_SEQUENCE_START_EVENT: return list(r, depth);
	case YAML_MAPPING_START_EVENT: return mapping(r, depth);
	default: return fail(r, "a value was wanted");
	}
}

static json_t *document(struct yaml_events *r)
{
	if (yaml_events_next(r) < 0 || yaml_events_next(r) < 0) /* the stream's start, the document's */
		return NULL;
	if (r->event.type == YAML_STREAM_END_EVENT)
		return json_null();
	if (yaml_events_next(r) < 0)
		return NULL;
	json_t *made = node(r, 0);
	if (made && (yaml_events_next(r) < 0 || yaml_events_next(r) < 0)) {
		json_decref(made);
		return NULL;
	}
	if (made && r->event.type != YAML_STREAM_END_EVENT) {
		json_decref(made);
		return fail(r, "a second document is not used here");
	}
	return made;
}

json_t *yaml_json(const char *text, size_t n, const char *where, struct err *e)
{
	struct yaml_events r;

	yaml_events_open(&r, text, n, where, e);
	json_t *made = document(&r);
	yaml_events_close(&r);
	return made;
}

json_t *yaml_json_file(const char *path, struct err *e)
{
	struct buf b = { .max = BYTES_MOST };
	json_t *made = io_read(&b, path, e) == 0 ? yaml_json(buf_str(&b), b.len, path, e) : NULL;

	buf_release(&b);
	return made;
}

bool yaml_is_named(const char *path)
{
	const char *end = strrchr(io_basename(path), '.');

	return end && (!strcmp(end, ".yaml") || !strcmp(end, ".yml"));
}
