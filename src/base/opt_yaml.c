/* opt_yaml: a recipe file, a flat mapping of option names to scalars or lists of scalars, by libyaml's events.
 *
 * Not taken: nested mappings, anchors, aliases, a second document. A plain null (`~`, `null`, nothing) leaves the
 * option as it is. A list for an option that takes one text is joined by commas, as target_modules: [q_proj,
 * v_proj]. */
#include "base/opt.h"

#include <string.h>
#include <yaml.h>

#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/opt_others.h"

enum { YAML_BYTES_MAX = 1 << 20 };

struct reader {
	struct opt_parse *p;
	yaml_parser_t parser;
	yaml_event_t event;
	bool open; /* event holds something */
	const char *where;
	struct err *e;
};

static int fail_at(struct reader *r, const yaml_mark_t *mark, const char *what)
{
	return err_set(r->e, "%s line %zu: %s", r->where, mark->line + 1, what);
}

/* Puts file and line before the sentence that is there. */
static int prefix_at(struct reader *r, const yaml_mark_t *mark)
{
	return err_prefix(r->e, "%s line %zu", r->where, mark->line + 1);
}

/* The next event into r->event. */
static int next(struct reader *r)
{
	if (r->open)
		yaml_event_delete(&r->event);
	r->open = yaml_parser_parse(&r->parser, &r->event);
	if (r->open)
		return 0;
	const char *problem = r->parser.problem ? r->parser.problem : "it is not YAML";
	return fail_at(r, &r->parser.problem_mark, problem);
}

static int scalar_text(struct reader *r, const char **text)
{
	const yaml_event_t *v = &r->event;
	if (v->type == YAML_ALIAS_EVENT || (v->type == YAML_SCALAR_EVENT && v->data.scalar.anchor))
		return fail_at(r, &v->start_mark, "anchors and aliases are not used here");
	if (v->type != YAML_SCALAR_EVENT)
		return fail_at(r, &v->start_mark, "one value was wanted, found a list or a mapping");
	*text = (const char *)v->data.scalar.value;
	if (strlen(*text) != v->data.scalar.length)
		return fail_at(r, &v->start_mark, "a text must not hold a zero byte");
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
	yaml_mark_t start = r->event.start_mark;
	const char *text;
	int rc = -1;
	bool first = true;
	if (o->type != OPT_TYPE_LIST && o->type != OPT_TYPE_STRING) {
		err_set(r->e, "%s line %zu: %s wants one value, found a list", r->where, start.line + 1, name);
		goto out;
	}
	for (;; first = false) {
		if (next(r))
			goto out;
		if (r->event.type == YAML_SEQUENCE_END_EVENT)
			break;
		if (scalar_text(r, &text))
			goto out;
		buf_addf(&joined, "%s%s", first ? "" : ",", text);
		if (o->type == OPT_TYPE_LIST && keep && opt_assign(r->p, name, text, r->e)) {
			prefix_at(r, &r->event.start_mark);
			goto out;
		}
	}
	rc = 0;
	if (o->type == OPT_TYPE_STRING && keep && opt_assign(r->p, name, buf_str(&joined), r->e))
		rc = prefix_at(r, &start);
out:
	buf_release(&joined);
	return rc;
}

/* The value of option `name`; read but not kept when the user gave one already. */
static int read_value(struct reader *r, const char *name, bool keep)
{
	const char *text;
	const struct opt *o = opt_find_called(r->p->table, name);
	if (next(r))
		return -1;
	if (r->event.type == YAML_SEQUENCE_START_EVENT)
		return read_list(r, o, name, keep);
	if (scalar_text(r, &text))
		return -1;
	if (keep && !is_null(&r->event) && opt_assign(r->p, name, text, r->e))
		return prefix_at(r, &r->event.start_mark);
	return 0;
}

/* Checks a key: a name of the table, seen for the first time. *seen has a flag per row. */
static const struct opt *key_row(struct reader *r, const char *name, bool *seen)
{
	const struct opt *o = opt_find_called(r->p->table, name);
	if (!o) {
		opt_assign(r->p, name, "", r->e); /* says what it may have meant */
		prefix_at(r, &r->event.start_mark);
		return NULL;
	}
	if (seen[o - r->p->table]) {
		err_set(r->e, "%s line %zu: %s is given twice", r->where, r->event.start_mark.line + 1, name);
		return NULL;
	}
	seen[o - r->p->table] = true;
	return o;
}

static int read_pairs(struct reader *r, bool *seen)
{
	for (;;) {
		const char *text;
		if (next(r))
			return -1;
		if (r->event.type == YAML_MAPPING_END_EVENT)
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
	if (r->event.type == YAML_STREAM_END_EVENT)
		return 0;
	if (next(r))
		return -1;
	if (r->event.type == YAML_SCALAR_EVENT && is_null(&r->event))
		return 0;
	if (r->event.type != YAML_MAPPING_START_EVENT)
		return fail_at(r, &r->event.start_mark, "a mapping was wanted, lines of \"name: value\"");
	if (read_pairs(r, seen) || next(r) || next(r)) /* document end, then the stream's */
		return -1;
	if (r->event.type != YAML_STREAM_END_EVENT)
		return fail_at(r, &r->event.start_mark, "a second document is not used here");
	return 0;
}

int opt_yaml_text(struct opt_parse *p, const char *text, size_t n, const char *where, struct err *e)
{
	struct reader r = { .p = p, .where = where, .e = e };
	size_t rows = 0;
	while (p->table[rows].type != OPT_TYPE_END)
		rows++;
	if (!yaml_parser_initialize(&r.parser))
		BUG("libyaml made no parser");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	bool *seen = mem_array(rows + 1, sizeof(*seen));
	int rc = read_stream(&r, seen);
	if (r.open)
		yaml_event_delete(&r.event);
	yaml_parser_delete(&r.parser);
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
