/* opt: reads option values into a command's struct by its table.
 *
 * Whatever the source (arguments, YAML, JSON), a value arrives as text at one function, assign_row, so that ranges,
 * choices and error sentences are the same everywhere. Names are compared with `_` equal to `-`. */
#include "base/opt.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/human.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/opt_others.h"

static bool is_row(const struct opt *o)
{
	return o->type != OPT_TYPE_GROUP && o->type != OPT_TYPE_ROWS && o->type != OPT_TYPE_DEFAULT;
}

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !((*a == '_' || *a == '-') && (*b == '_' || *b == '-')))
			return false;
	return *a == *b;
}

static bool is_called(const struct opt *o, const char *name)
{
	return is_row(o) && (same_name(o->name, name) || (o->alias && same_name(o->alias, name)));
}

/* Among what the rows of another table bring. */
static const struct opt *find_brought(const struct opt *from, const char *name)
{
	struct opt_row row;
	const struct opt *found = NULL;
	for (size_t i = 0; !found && from->rows(i, &row); i++)
		found = row.opts ? opt_find(row.opts, name) : NULL;
	return found;
}

const struct opt *opt_find(const struct opt *table, const char *name)
{
	for (const struct opt *o = table; o->type != OPT_TYPE_END; o++) {
		const struct opt *found = is_called(o, name)         ? o :
		                          o->type == OPT_TYPE_ROWS ? find_brought(o, name) :
		                                                     NULL;
		if (found)
			return found;
	}
	return NULL;
}

/* Where an option's value is: in the target, or in the struct of the row that brings it. */
static void *field(const struct opt_parse *p, const struct opt *o) { return (char *)p->target + o->offset; }

static void *field_of_use(const struct opt_parse *p, const struct opt_use *use)
{
	void *const *rows = *(void *const *const *)field(p, use->from);
	return (char *)rows[use->index] + use->as->offset;
}

static void *own_block(struct opt_parse *p, void *block)
{
	p->owned = mem_grow(p->owned, p->n_owned + 1, sizeof(*p->owned));
	return p->owned[p->n_owned++] = block;
}

/* A copy of s that lives until opt_release. */
static const char *own(struct opt_parse *p, const char *s) { return own_block(p, mem_strdup(s)); }

/* As short as it is the same number. */
static const char *number_text(double x, char out[32])
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, 32, "%.*g", digits, x);
		if (strtod(out, NULL) == x)
			break;
	}
	return out;
}

static int out_of_range(const struct opt *o, const char *shown, const char *value, struct err *e)
{
	char min[32], max[32];

	if (o->min == OPT_ABOVE_0)
		return err_set(e, "%s %s: it must be above 0, and at most %s", shown, value, number_text(o->max, max));
	return err_set(e, "%s %s: it must lie between %s and %s", shown, value, number_text(o->min, min),
	               number_text(o->max, max));
}

static bool in_range(const struct opt *o, double x)
{
	return !(o->min < o->max) || (x >= o->min && x <= o->max);
}

static int assign_flag(bool *to, const char *shown, const char *value, struct err *e)
{
	static const char *const yes[] = { "true", "yes", "on", "1" }, *const no[] = { "false", "no", "off", "0" };
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		bool on = strcasecmp(value, yes[i]) == 0;
		if (!on && strcasecmp(value, no[i]) != 0)
			continue;
		*to = on;
		return 0;
	}
	return err_set(e, "%s %s: true or false was wanted", shown, value);
}

static int assign_int(const struct opt *o, int64_t *to, const char *shown, const char *value, struct err *e)
{
	size_t sign = *value == '-' || *value == '+', digits = strspn(value + sign, "0123456789");
	if (digits == 0 || value[sign + digits])
		return err_set(e, "%s %s: a whole number was wanted", shown, value);
	if (digits > 18 || !in_range(o, (double)strtoll(value, NULL, 10)))
		return out_of_range(o, shown, value, e);
	*to = strtoll(value, NULL, 10);
	return 0;
}

static int assign_float(const struct opt *o, double *to, const char *shown, const char *value, struct err *e)
{
	char *end;
	double x = strtod(value, &end);
	if (!*value || *end || strspn(value, "+-.0123456789eE") != strlen(value) || !isfinite(x))
		return err_set(e, "%s %s: a number was wanted", shown, value);
	if (!in_range(o, x))
		return out_of_range(o, shown, value, e);
	*to = x;
	return 0;
}

/* "a, b or c" out of "a|b|c"; mem_free. */
static char *choices_text(const char *choices)
{
	struct buf b = BUF_INIT;
	const char *last = strrchr(choices, '|');
	for (const char *c = choices; *c; c++) {
		if (*c != '|')
			buf_addc(&b, *c);
		else
			buf_adds(&b, c == last ? " or " : ", ");
	}
	return buf_detach(&b, NULL);
}

/* The choice that a value means, as it is or but for case (PEFT writes some in capitals), and its length. */
static const char *find_choice(const char *choices, const char *value, size_t *length)
{
	const char *found = NULL;

	for (const char *at = choices; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
		size_t n = strcspn(at, "|");
		if (strlen(value) != n || strncasecmp(at, value, n) != 0)
			continue;
		*length = n;
		if (!strncmp(at, value, n))
			return at;
		found = found ? found : at;
	}
	return found;
}

static int assign_choice(struct opt_parse *p, const struct opt *o, const char **to, const char *shown,
                         const char *value, struct err *e)
{
	struct opt_row row;
	size_t n;
	const char *choice = find_choice(o->choices, value, &n);

	if (o->rows && opt_row_find(o->rows, value, &row, NULL)) {
		*to = row.name;
	} else if (choice) {
		char *word = mem_strndup(choice, n);
		*to = own(p, word);
		mem_free(word);
	} else {
		char *all = choices_text(o->choices);
		err_set(e, "%s %s: %s was wanted", shown, value, all);
		mem_free(all);
		return -1;
	}
	return 0;
}

/* Where there is no default, 0 is what is not given. */
static int assign_bytes(const struct opt *o, size_t *to, const char *shown, const char *value, struct err *e)
{
	if (human_parse_bytes(value, to) || (!*to && !o->init))
		return err_set(e, "%s %s: a size such as 800MB, 2G or 1.5GiB was wanted", shown, value);
	return 0;
}

static void assign_item(struct opt_parse *p, struct opt_list *list, const char *value)
{
	list->items = mem_grow(list->items, list->n + 1, sizeof(*list->items));
	list->items[list->n++] = own(p, value);
}

/* `shown` is the option as the user wrote it, for the sentence. */
static int assign_field(struct opt_parse *p, const struct opt *o, void *to, const char *shown, const char *value,
                        struct err *e)
{
	switch (o->type) {
	case OPT_TYPE_FLAG: return assign_flag(to, shown, value, e);
	case OPT_TYPE_INT: return assign_int(o, to, shown, value, e);
	case OPT_TYPE_FLOAT: return assign_float(o, to, shown, value, e);
	case OPT_TYPE_BYTES: return assign_bytes(o, to, shown, value, e);
	case OPT_TYPE_CHOICE: return assign_choice(p, o, to, shown, value, e);
	case OPT_TYPE_STRING: *(const char **)to = own(p, value); return 0;
	case OPT_TYPE_LIST: assign_item(p, to, value); return 0;
	default: BUG("option %s has type %d", o->name, (int)o->type);
	}
}

/* To all rows that have the option: which one is in use may be said later. They refuse the same values. */
static int assign_row(struct opt_parse *p, const struct opt *o, const char *shown, const char *value, struct err *e)
{
	if (!o->uses)
		return assign_field(p, o, field(p, o), shown, value, e);
	for (size_t i = 0; i < o->n_uses; i++)
		if (assign_field(p, o, field_of_use(p, &o->uses[i]), shown, value, e))
			return -1;
	return 0;
}

/* The field's value when nobody gives one and the table has no default. */
static void clear_field(const struct opt *o, void *to)
{
	switch (o->type) {
	case OPT_TYPE_FLAG: *(bool *)to = false; break;
	case OPT_TYPE_INT: *(int64_t *)to = OPT_UNSET_INT; break;
	case OPT_TYPE_FLOAT: *(double *)to = NAN; break;
	case OPT_TYPE_BYTES: *(size_t *)to = 0; break;
	case OPT_TYPE_CHOICE:
	case OPT_TYPE_STRING: *(const char **)to = NULL; break;
	case OPT_TYPE_LIST:
		mem_free(((struct opt_list *)to)->items);
		*(struct opt_list *)to = (struct opt_list){ 0 };
		break;
	default: BUG("option %s has type %d", o->name, (int)o->type);
	}
}

static void clear_row(struct opt_parse *p, const struct opt *o)
{
	if (!o->uses)
		clear_field(o, field(p, o));
	for (size_t i = 0; i < o->n_uses; i++)
		clear_field(o, field_of_use(p, &o->uses[i]));
}

static void begin_field(struct opt_parse *p, const struct opt *o, void *to, const char *init)
{
	struct err e = ERR_INIT;
	if (o->type == OPT_TYPE_LIST)
		*(struct opt_list *)to = (struct opt_list){ 0 };
	clear_field(o, to);
	if (init && assign_field(p, o, to, o->name, init, &e))
		BUG("the default of option %s: %s", o->name, e.msg);
}

/* A struct for each row of other tables. */
static void take_rows(struct opt_parse *p)
{
	struct opt_row row;
	for (const struct opt *o = p->declared; o->type != OPT_TYPE_END; o++) {
		size_t n = 0;
		while (o->type == OPT_TYPE_ROWS && o->rows(n, &row))
			n++;
		if (o->type != OPT_TYPE_ROWS)
			continue;
		void **blocks = own_block(p, mem_array(n + 1, sizeof(*blocks)));
		for (size_t i = 0; i < n; i++)
			if (o->rows(i, &row) && row.opts)
				blocks[i] = own_block(p, mem_alloc(row.options_size));
		*(void ***)field(p, o) = blocks;
	}
}

int opt_begin(struct opt_parse *p, const struct opt *table, void *target, struct err *e)
{
	(void)e;
	*p = (struct opt_parse){ .declared = table, .target = target };
	opt_join(&p->joined, table);
	p->table = p->joined.rows;
	take_rows(p);
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		if (!is_row(o))
			continue;
		if (opt_find(p->table, o->name) != o || (o->alias && opt_find(p->table, o->alias) != o))
			BUG("option %s is in the table twice", o->name);
		if (!o->uses)
			begin_field(p, o, field(p, o), o->init);
		for (size_t i = 0; i < o->n_uses; i++)
			begin_field(p, o, field_of_use(p, &o->uses[i]), o->uses[i].as->init);
	}
	p->set = mem_array(p->joined.n + 1, sizeof(*p->set));
	return 0;
}

/* "unknown option X, did you mean Y"; `dash` is what stood before X, "" in files. */
static int unknown_option(const struct opt_parse *p, const char *dash, const char *name, struct err *e)
{
	size_t n = 0;
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++)
		n++;
	const char **words = mem_array(2 * n + 1, sizeof(*words));
	n = 0;
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		if (!is_row(o))
			continue;
		words[n++] = o->name;
		if (o->alias && o->alias[1])
			words[n++] = o->alias;
	}
	const char *note = opt_note_of_others(p->table, name), *near = opt_nearest(name, words, n);
	mem_free(words);
	if (note)
		return err_set(e, "unknown option %s%s: %s", dash, name, note);
	if (near)
		return err_set(e, "unknown option %s%s, did you mean %s%s?", dash, name, *dash ? "--" : "", near);
	return err_set(e, "unknown option %s%s", dash, name);
}

int opt_assign(struct opt_parse *p, const char *name, const char *value, struct err *e)
{
	const struct opt *o = opt_find_called(p->table, name);
	if (!o)
		return unknown_option(p, "", name, e);
	if (assign_row(p, o, name, value, e))
		return -1;
	p->set[o - p->table] = true;
	return 0;
}

static void put_field(const struct opt *o, void *to, double value)
{
	if (o->type == OPT_TYPE_INT)
		*(int64_t *)to = (int64_t)value;
	else if (o->type == OPT_TYPE_FLOAT)
		*(double *)to = value;
	else
		BUG("option %s is no number", o->name);
}

void opt_put(struct opt_parse *p, const char *name, double value)
{
	const struct opt *o = opt_find(p->table, name);
	if (!o)
		BUG("no option is called %s", name);
	if (!o->uses)
		put_field(o, field(p, o), value);
	for (size_t i = 0; i < o->n_uses; i++)
		put_field(o, field_of_use(p, &o->uses[i]), value);
}

/* --- arguments --- */

/* One argument that starts with a dash, taken apart. */
struct word {
	char name[64];
	const char *value; /* after "=", or NULL */
	bool is_short, no; /* -x; --no-x */
};

/* The row that a word means, NULL for none. Sets w->no. A one-letter alias is written with one dash. */
static const struct opt *word_row(const struct opt_parse *p, const char *arg, struct word *w)
{
	size_t dashes = arg[1] == '-' ? 2 : 1, n = strcspn(arg + dashes, "=");
	*w = (struct word){ .is_short = dashes == 1, .value = arg[dashes + n] ? arg + dashes + n + 1 : NULL };
	snprintf(w->name, sizeof(w->name), "%.*s", (int)MIN(n, sizeof(w->name)), arg + dashes);
	if (n == 0 || n >= sizeof(w->name))
		return NULL;
	const struct opt *o = opt_find(p->table, w->name);
	if (o)
		return !o->name[1] || (n == 1) == w->is_short ? o : NULL; /* a name of one letter has either */
	if (strncmp(w->name, "no-", 3) == 0 || strncmp(w->name, "no_", 3) == 0)
		o = opt_find_called(p->table, w->name + 3);
	w->no = o != NULL;
	if (!o)
		return w->is_short || n > 1 ? opt_find_called(p->table, w->name) : NULL;
	return o->type == OPT_TYPE_FLAG && !w->is_short ? o : NULL;
}

/* Does the argument after one that wants a value look like a forgotten value? */
static bool is_known_option(const struct opt_parse *p, const char *arg)
{
	struct word w;
	return arg[0] == '-' && arg[1] && word_row(p, arg, &w);
}

static int read_option(struct opt_parse *p, int argc, char **argv, int *i, struct err *e)
{
	struct word w;
	char shown[sizeof(w.name) + 2];
	const struct opt *o = word_row(p, argv[*i], &w);
	const char *value = w.value, *dash = w.is_short ? "-" : "--";
	if (!o)
		return unknown_option(p, dash, w.name, e);
	snprintf(shown, sizeof(shown), "%s%s", dash, w.name);
	if (w.no && value)
		return err_set(e, "%s takes no value", shown);
	if (o->type == OPT_TYPE_FLAG && !value) {
		value = w.no ? "false" : "true";
	} else if (!value) {
		const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
		if (!next || is_known_option(p, next))
			return err_set(e, "%s wants a value%s%s%s%s%s", shown, o->arg ? " (" : "", o->arg ? o->arg : "",
			               o->arg ? ")" : "", next ? ", found the option " : "", next ? next : "");
		value = next;
		++*i;
	}
	if (assign_row(p, o, shown, value, e))
		return -1;
	p->set[o - p->table] = true;
	return 0;
}

int opt_args(struct opt_parse *p, int argc, char **argv, struct err *e)
{
	bool options = true;
	for (int i = 0; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1]) {
			if (read_option(p, argc, argv, &i, e))
				return -1;
		} else {
			p->positional = mem_grow(p->positional, p->n_positional + 1, sizeof(*p->positional));
			p->positional[p->n_positional++] = own(p, argv[i]);
		}
	}
	return 0;
}

bool opt_given(const struct opt_parse *p, const char *name)
{
	const struct opt *o = opt_find(p->table, name);
	if (!o)
		BUG("no option is called %s", name);
	return p->set && p->set[o - p->table];
}

/* --- JSON --- */

/* The option's name as a key; mem_free. */
static char *key_of(const struct opt *o)
{
	char *key = mem_strdup(o->name);
	for (char *c = key; *c; c++)
		if (*c == '-')
			*c = '_';
	return key;
}

static json_t *record_field(const struct opt *o, const void *from)
{
	switch (o->type) {
	case OPT_TYPE_FLAG: return json_boolean(*(const bool *)from);
	case OPT_TYPE_INT:
		return *(const int64_t *)from == OPT_UNSET_INT ? json_null() : json_integer(*(const int64_t *)from);
	case OPT_TYPE_FLOAT: return jsonx_number(*(const double *)from);
	case OPT_TYPE_BYTES: { /* 0 is what is not given, where there is no default */
		size_t n = *(const size_t *)from;
		return n || o->init ? json_integer((json_int_t)n) : json_null();
	}
	case OPT_TYPE_CHOICE:
	case OPT_TYPE_STRING: {
		const char *s = *(const char *const *)from;
		json_t *j = s ? json_string(s) : json_null();
		return j ? j : json_null(); /* not UTF-8: JSON cannot hold it */
	}
	case OPT_TYPE_LIST: {
		const struct opt_list *list = from;
		json_t *items = json_array();
		for (size_t i = 0; i < list->n; i++)
			json_array_append_new(items, json_string(list->items[i]));
		return items;
	}
	default: BUG("option %s has type %d", o->name, (int)o->type);
	}
}

/* Where the value of an option that is in use lies, NULL: no row that has it is. */
static const void *used_field(const struct opt_parse *p, const struct opt *o)
{
	if (!o->uses)
		return field(p, o);
	for (size_t i = 0; i < o->n_uses; i++)
		if (opt_use_is_on(&o->uses[i], p->target))
			return field_of_use(p, &o->uses[i]);
	return NULL;
}

json_t *opt_record(const struct opt_parse *p)
{
	json_t *record = json_object();
	for (const struct opt *o = p->table; o->type != OPT_TYPE_END; o++) {
		const void *from = is_row(o) ? used_field(p, o) : NULL;
		if (!from)
			continue;
		char *key = key_of(o);
		json_object_set_new(record, key, record_field(o, from));
		mem_free(key);
	}
	return record;
}

json_t *opt_record_of(const struct opt *table, const void *target)
{
	struct opt_parse p = { .target = (void *)target };
	opt_join(&p.joined, table);
	p.table = p.joined.rows;
	json_t *record = opt_record(&p);
	opt_join_release(&p.joined);
	return record;
}

/* One JSON value that is no array, as text for assign_row. */
static int assign_json(struct opt_parse *p, const struct opt *o, const char *key, const json_t *v, struct err *e)
{
	if (json_is_string(v))
		return assign_row(p, o, key, json_string_value(v), e);
	if (json_is_object(v) || json_is_array(v))
		return err_set(e, "%s: one value was wanted, found a list or an object", key);
	char *text = jsonx_line(v);
	size_t n = strlen(text);
	if (json_is_real(v) && n > 2 && strcmp(text + n - 2, ".0") == 0)
		text[n - 2] = 0;
	int rc = assign_row(p, o, key, text, e);
	mem_free(text);
	return rc;
}

int opt_json(struct opt_parse *p, const json_t *object, struct err *e)
{
	const char *key;
	json_t *v, *item;
	size_t i;
	if (!json_is_object(object))
		return err_set(e, "an object of options was wanted");
	json_object_foreach((json_t *)object, key, v) {
		const struct opt *o = opt_find(p->table, key);
		if (!o)
			return unknown_option(p, "", key, e);
		if (p->set[o - p->table])
			continue;
		clear_row(p, o);
		if (o->type == OPT_TYPE_LIST && json_is_array(v)) {
			json_array_foreach(v, i, item)
				if (assign_json(p, o, key, item, e))
					return -1;
		} else if (o->type == OPT_TYPE_BYTES && !o->init && json_is_integer(v) && !json_integer_value(v)) {
			continue;
		} else if (!json_is_null(v) && assign_json(p, o, key, v, e)) {
			return -1;
		}
	}
	return 0;
}

void opt_release(struct opt_parse *p)
{
	for (const struct opt *o = p->table; o && o->type != OPT_TYPE_END; o++)
		if (o->type == OPT_TYPE_LIST)
			clear_row(p, o);
	for (size_t i = 0; i < p->n_owned; i++)
		mem_free(p->owned[i]);
	mem_free(p->owned);
	mem_free(p->positional);
	mem_free(p->set);
	opt_join_release(&p->joined);
	*p = (struct opt_parse){ 0 };
}
