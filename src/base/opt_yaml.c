/* opt_yaml: a recipe file, a flat mapping of option names to scalars or lists of scalars, by libyaml's events.
 *
 * Not taken: nested mappings, anchors, aliases, a second document. A plain null (`~`, `null`, nothing) leaves the
 * option as it is. A list for an option that takes one text is joined by commas, as target_modules: [q_proj,
 * v_proj]. */
#include "base/opt.h"

#include <string.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/opt_others.h"
#include "base/yaml_events.h"

enum { YAML_BYTES_MAX = 1 << 20 };

struct reader {
	struct opt_parse *p;
	struct yaml_events events;
};

static int fail(struct reader *r, const char *what) { return yaml_events_fail(&r->events, what); }

/* Puts file and line before the sentence that is there. */
static int prefix_at(struct reader *r, const yaml_mark_t *mark)
{
	return err_prefix(r->events.e, "%s line %zu", r->events.where, mark->line + 1);
}

static int next(struct reader *r) { return yaml_events_next(&r->events); }

static int scalar_text(struct reader *r, const char **text)
{
	const yaml_event_t *v = &r->events.event;
	if (v->type == YAML_ALIAS_EVENT || (v->type == YAML_SCALAR_EVENT && v->data.scalar.anchor))
		return fail(r, "anchors and aliases are not used here");
	if (v->type != YAML_SCALAR_EVENT)
		return fail(r, "one value was wanted, found a list or a mapping");
	*text = (const char *)v->data.scalar.value;
	if (strlen(*text) != v->data.scalar.length)
		return fail(r, "a text must not hold a zero byte");
	return 0;
}

static bool is_null(const yaml_event_t *v)
{
	const char *text = (const char *)v->data.scalar.value;
	return v->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0);
}

/* The items of a list whose start was read: each assigned to a LIST, joined for a text. */
static int read_list(struct reader *r, const struct opt *o, const char *name, bool keep)
{
	struct buf joined = BUF_INIT;
	yaml_mark_t start = r->events.event.start_mark;
	const char *text = NULL;
	int rc = -1;
	bool first = true;
	if (o->type != OPT_TYPE_LIST && o->type != OPT_TYPE_STRING) {
		err_set(r->events.e, "%s line %zu: %s wants one value, found a list", r->events.where,
		        start.line + 1, name);
		goto out;
	}
	for (;; first = false) {
		if (next(r))
			goto out;
		if (r->events.event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (scalar_text(r, &text))
			goto out;
		buf_addf(&joined, "%s%s", first ? "" : ",", text);
		if (o->type == OPT_TYPE_LIST && keep && opt_assign(r->p, name, text, r->events.e)) {
			prefix_at(r, &r->events.event.start_mark);
			goto out;
		}
	}
	rc = 0;
	if (o->type == OPT_TYPE_STRING && keep && opt_assign(r->p, name, buf_str(&joined), r->events.e))
		rc = prefix_at(r, &start);
out:
	buf_release(&joined);
	return rc;
}

/* The value of option `name`; read but not kept when the user gave one already. */
static int read_value(struct reader *r, const char *name, bool keep)
{
	const char *text = NULL;
	const struct opt *o = opt_find_called(r->p->table, name);
	if (next(r))
		return -1;
	if (r->events.event.type == YAML_SEQUENCE_START_EVENT)
		return read_list(r, o, name, keep);
	if (scalar_text(r, &text))
		return -1;
	if (keep && !is_null(&r->events.event) && opt_assign(r->p, name, text, r->events.e))
		return prefix_at(r, &r->events.event.start_mark);
	return 0;
}

/* Checks a key: a name of the table, seen for the first time. *seen has a flag per row. */
static const struct opt *key_row(struct reader *r, const char *name, bool *seen)
{
	const struct opt *o = opt_find_called(r->p->table, name);
	if (!o) {
		opt_assign(r->p, name, "", r->events.e); /* says what it may have meant */
		prefix_at(r, &r->events.event.start_mark);
		return NULL;
	}
	if (seen[o - r->p->table]) {
		err_set(r->events.e, "%s line %zu: %s is given twice", r->events.where,
		        r->events.event.start_mark.line + 1, name);
		return NULL;
	}
	seen[o - r->p->table] = true;
	return o;
}

static int read_pairs(struct reader *r, bool *seen)
{
	for (;;) {
		const char *text = NULL;
		if (next(r))
			return -1;
		if (r->events.event.type == YAML_MAPPING_END_EVENT)
			return 0;
		if (scalar_text(r, &text))
			return -1;
		const struct opt *o = key_row(r, text, seen);
		if (!o)
			return -1;
		char *name = mem_strdup(text);
		int rc = read_value(r, name, !r->p->set[o - r->p->table]);
		mem_free(name);
		if (rc)
			return -1;
	}
}

static int read_stream(struct reader *r, bool *seen)
{
	if (next(r) || next(r)) /* stream start, document start */
		return -1;
	if (r->events.event.type == YAML_STREAM_END_EVENT)
		return 0;
	if (next(r))
		return -1;
	if (r->events.event.type == YAML_SCALAR_EVENT && is_null(&r->events.event))
		return 0;
	if (r->events.event.type != YAML_MAPPING_START_EVENT)
		return fail(r, "a mapping was wanted, lines of \"name: value\"");
	if (read_pairs(r, seen) || next(r) || next(r)) /* document end, then the stream's */
		return -1;
	if (r->events.event.type != YAML_STREAM_END_EVENT)
		return fail(r, "a second document is not used here");
	return 0;
}

int opt_yaml_text(struct opt_parse *p, const char *text, size_t n, const char *where, struct err *e)
{
	struct reader r = { .p = p };
	size_t rows = 0;
	while (p->table[rows].type != OPT_TYPE_END)
		rows++;
	yaml_events_open(&r.events, text, n, where, e);
	bool *seen = mem_array(rows + 1, sizeof(*seen));
	int rc = read_stream(&r, seen);
	yaml_events_close(&r.events);
	mem_free(seen);
	return rc;
}

int opt_yaml(struct opt_parse *p, const char *path, struct err *e)
{
	struct buf b = { .max = YAML_BYTES_MAX };
	int rc = io_read(&b, path, e);
	if (rc == 0)
		rc = opt_yaml_text(p, buf_str(&b), b.len, path, e);
	buf_release(&b);
	return rc;
}
