/* space: what the tree of a space.yaml means. Every name is looked up in the table of options, every value is tried on
 * it, so what a trial will be given has been taken once. */
#include "search/space.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/opt_others.h"
#include "search/space_yaml.h"

struct reading {
	struct space *s;
	struct opt_parse *scratch;
	const char *const *fixed;
	const char *where;
	struct err *e;
};

static int fail(const struct reading *r, const struct yaml_node *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(const struct reading *r, const struct yaml_node *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = mem_vprintf(fmt, ap);
	va_end(ap);
	err_set(r->e, "%s line %zu: %s", r->where, at->line, text);
	mem_free(text);
	return -1;
}

static bool same_name(const char *a, const char *b)
{
	for (; *a && (*a == *b || (*a == '_' && *b == '-') || (*a == '-' && *b == '_')); a++, b++)
		;
	return *a == *b;
}

static const struct opt *option_of(const struct reading *r, const struct yaml_node *n)
{
	const struct opt *o = opt_find_called(r->scratch->table, n->key);

	if (!o) {
		opt_assign(r->scratch, n->key, "", r->e); /* says what it may have meant */
		err_prefix(r->e, "%s line %zu", r->where, n->line);
	}
	return o;
}

/* A value as the command line would have it, tried on the option. */
static const char *value_of(const struct reading *r, const struct opt *o, const struct yaml_node *n)
{
	struct buf joined = BUF_INIT;
	bool good = n->kind != YAML_MAP && (n->kind == YAML_TEXT || o->type == OPT_TYPE_STRING);

	if (n->kind == YAML_TEXT)
		buf_adds(&joined, n->text);
	for (const struct yaml_node *x = n->first; good && x; x = x->next) {
		good = x->kind == YAML_TEXT;
		buf_addf(&joined, "%s%s", joined.len ? "," : "", good ? x->text : "");
	}
	const char *text = arena_strdup(&r->s->mem, buf_str(&joined));
	buf_release(&joined);
	if (!good)
		fail(r, n, "%s: one value was wanted here", o->name);
	else if (opt_assign(r->scratch, o->name, text, r->e) < 0)
		err_prefix(r->e, "%s line %zu", r->where, n->line);
	else
		return text;
	return NULL;
}

static size_t count(const struct yaml_node *n)
{
	size_t of = 0;

	for (const struct yaml_node *x = n->first; x; x = x->next)
		of++;
	return of;
}

/* The values of a list, or the one that stands by itself. */
static const char **read_values(const struct reading *r, const struct opt *o, const struct yaml_node *n, size_t *size)
{
	*size = n->kind == YAML_LIST ? count(n) : 1;
	const char **values = arena_array(&r->s->mem, *size + 1, sizeof(*values));
	size_t at = 0;

	if (!*size)
		fail(r, n, "%s: the list is empty", o->name);
	for (const struct yaml_node *x = n->kind == YAML_LIST ? n->first : n; x && at < *size; x = x->next) {
		if (!(values[at] = value_of(r, o, x)))
			return NULL;
		for (size_t i = 0; i < at; i++)
			if (!strcmp(values[i], values[at])) {
				fail(r, x, "%s: %s stands there twice", o->name, values[at]);
				return NULL;
			}
		at++;
	}
	return *size ? values : NULL;
}

static const struct yaml_node *child(const struct yaml_node *n, const char *key)
{
	for (const struct yaml_node *x = n->first; x; x = x->next)
		if (!strcmp(x->key, key))
			return x;
	return NULL;
}

/* --- conditions --- */

static int read_condition(const struct reading *r, struct space_param *p, const struct yaml_node *n)
{
	const struct opt *o = option_of(r, n);

	if (!o)
		return -1;
	if (!strcmp(o->name, p->name))
		return fail(r, n, "%s cannot depend on itself", p->name);
	struct space_condition *c = &p->when[p->n_when++];
	c->name = o->name;
	return (c->values = read_values(r, o, n, &c->n)) ? 0 : -1;
}

static int read_when(const struct reading *r, struct space_param *p, const struct yaml_node *n)
{
	if (!n)
		return 0;
	if (n->kind != YAML_MAP || !n->first)
		return fail(r, n, "%s: `when` wants {option: value} or {option: [value, …]}", p->name);
	p->when = arena_array(&r->s->mem, count(n), sizeof(*p->when));
	for (const struct yaml_node *x = n->first; x; x = x->next)
		if (read_condition(r, p, x) < 0)
			return -1;
	return 0;
}

/* --- ranges --- */

static int read_number(const struct reading *r, const struct opt *o, const struct yaml_node *n, bool scaled, double *x)
{
	char *end;
	const char *text = n->kind == YAML_TEXT ? n->text : "";

	*x = strtod(text, &end);
	if (!*text || *end || !isfinite(*x))
		return fail(r, n, "%s: %s: a number was wanted", o->name, n->key);
	return scaled || value_of(r, o, n) ? 0 : -1;
}

static int read_flag(const struct reading *r, const struct yaml_node *n, bool *is)
{
	*is = n && n->kind == YAML_TEXT && !strcmp(n->text, "true");
	if (!n || *is || (n->kind == YAML_TEXT && !strcmp(n->text, "false")))
		return 0;
	return fail(r, n, "%s: true or false was wanted", n->key);
}

static int check_keys(const struct reading *r, const struct yaml_node *n, const char *const *known)
{
	for (const struct yaml_node *x = n->first; x; x = x->next) {
		size_t i = 0;
		while (known[i] && strcmp(known[i], x->key))
			i++;
		if (!known[i])
			return fail(r, x, "%s: `%s` is not known here: choices, or min, max, log, scale; and when were "
			                  "wanted", n->key, x->key);
	}
	return 0;
}

static int check_range(const struct reading *r, const struct space_param *p, const struct yaml_node *n)
{
	if (!(p->min < p->max))
		return fail(r, n, "%s: min %g is not below max %g", p->name, p->min, p->max);
	if (p->log && !(p->min > 0))
		return fail(r, n, "%s: a logarithmic range begins above 0, not at %g", p->name, p->min);
	return 0;
}

static int read_range(const struct reading *r, struct space_param *p, const struct opt *o, const struct yaml_node *n)
{
	static const char *const known[] = { "min", "max", "log", "scale", "when", NULL };
	const struct yaml_node *low = child(n, "min"), *high = child(n, "max"), *scale = child(n, "scale");

	if (check_keys(r, n, known) < 0)
		return -1;
	if (!low || !high)
		return fail(r, n, "%s: a range wants min and max", p->name);
	if (o->type != OPT_TYPE_INT && o->type != OPT_TYPE_FLOAT)
		return fail(r, n, "%s: it is no number, so it has no range; a list was wanted", p->name);
	if (scale && (scale->kind != YAML_TEXT || strcmp(scale->text, "method") != 0 ||
	              strcmp(p->name, "learning-rate") != 0))
		return fail(r, scale, "%s: scale: method is the only one, and of learning_rate alone", p->name);
	p->range = true;
	p->scaled = scale;
	p->integer = o->type == OPT_TYPE_INT;
	if (read_flag(r, child(n, "log"), &p->log) < 0 || read_number(r, o, low, p->scaled, &p->min) < 0 ||
	    read_number(r, o, high, p->scaled, &p->max) < 0)
		return -1;
	return check_range(r, p, n);
}

/* --- a parameter --- */

static int read_choices(const struct reading *r, struct space_param *p, const struct opt *o, const struct yaml_node *n)
{
	static const char *const known[] = { "choices", "when", NULL };

	if (n->kind == YAML_MAP && check_keys(r, n, known) < 0)
		return -1;
	const struct yaml_node *list = n->kind == YAML_MAP ? child(n, "choices") : n;
	return (p->values = read_values(r, o, list, &p->n)) ? 0 : -1;
}

static int read_param(const struct reading *r, const struct yaml_node *n)
{
	const struct opt *o = option_of(r, n);
	struct space_param *p = &r->s->param[r->s->n];

	if (!o)
		return -1;
	for (const char *const *f = r->fixed; *f; f++)
		if (!strcmp(*f, o->name))
			return fail(r, n, "%s is the same in all trials", o->name);
	if (space_find(r->s, o->name))
		return fail(r, n, "%s is given twice", o->name);
	p->name = arena_strdup(&r->s->mem, o->name);
	bool range = n->kind == YAML_MAP && !child(n, "choices");
	if ((range ? read_range(r, p, o, n) : read_choices(r, p, o, n)) < 0 ||
	    (n->kind == YAML_MAP && read_when(r, p, child(n, "when")) < 0))
		return -1;
	r->s->n++;
	return 0;
}

/* --- the order --- */

/* What picks the options of others comes first, then whoever depends on nothing that is still to come. */
static bool may_come(const struct space *s, const struct space_param *p, const bool *placed)
{
	static const char *const picks[] = { "method", "objective", "optim" };
	bool pick = false;

	for (size_t i = 0; i < ARRAY_LEN(picks); i++)
		pick |= !strcmp(p->name, picks[i]);
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; k < ARRAY_LEN(picks) && !pick; k++)
			if (!placed[i] && !strcmp(s->param[i].name, picks[k]))
				return false;
		for (size_t k = 0; k < p->n_when; k++)
			if (!placed[i] && !strcmp(s->param[i].name, p->when[k].name))
				return false;
	}
	return true;
}

static int put_in_order(const struct reading *r, const struct yaml_node *root)
{
	struct space *s = r->s;
	struct space_param *sorted = arena_array(&s->mem, s->n, sizeof(*sorted));
	bool *placed = arena_array(&s->mem, s->n, sizeof(*placed));

	for (size_t at = 0; at < s->n; at++) {
		size_t i = 0;
		while (i < s->n && (placed[i] || !may_come(s, &s->param[i], placed)))
			i++;
		if (i == s->n)
			return fail(r, root, "conditions go round in a circle");
		sorted[at] = s->param[i];
		placed[i] = true;
	}
	s->param = sorted;
	return 0;
}

int space_read(struct space *s, const char *text, size_t n, const char *where, struct opt_parse *scratch,
               const char *const *fixed, struct err *e)
{
	struct reading r = { s, scratch, fixed, where, e };

	*s = (struct space){ 0 };
	const struct yaml_node *root = yaml_tree(&s->mem, text, n, where, e);
	if (!root)
		return -1;
	if (root->kind != YAML_MAP)
		return fail(&r, root, "a mapping was wanted, lines of \"option: values\"");
	if (!root->first)
		return err_set(e, "%s names no option", where);
	s->param = arena_array(&s->mem, count(root), sizeof(*s->param));
	for (const struct yaml_node *x = root->first; x; x = x->next)
		if (read_param(&r, x) < 0)
			return -1;
	return put_in_order(&r, root);
}

void space_release(struct space *s)
{
	arena_release(&s->mem);
	*s = (struct space){ 0 };
}

const struct space_param *space_find(const struct space *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_name(s->param[i].name, name))
			return &s->param[i];
	return NULL;
}

/* --- a trial's values --- */

/* The value of an option in a parse as text, for comparison; "" for none. */
static bool has_value(const struct opt_parse *p, const struct space_condition *c)
{
	json_t *record = opt_record(p);
	struct buf key = BUF_INIT;
	bool has = false;

	buf_adds(&key, c->name);
	for (char *x = key.data; *x; x++)
		*x = *x == '-' ? '_' : *x;
	const json_t *v = json_object_get(record, buf_str(&key));
	for (size_t i = 0; i < c->n; i++) {
		if (json_is_string(v))
			has |= !strcmp(json_string_value(v), c->values[i]);
		else if (json_is_number(v))
			has |= json_number_value(v) == strtod(c->values[i], NULL);
		else if (json_is_boolean(v))
			has |= json_is_true(v) == !strcmp(c->values[i], "true");
	}
	buf_release(&key);
	json_decref(record);
	return has;
}

bool space_is_active(const struct space *s, size_t i, const struct opt_parse *p)
{
	const struct space_param *param = &s->param[i];
	const struct opt *o = opt_find(p->table, param->name);
	bool used = !o->n_uses;

	for (size_t k = 0; k < o->n_uses; k++)
		used |= opt_use_is_on(&o->uses[k], p->target);
	for (size_t k = 0; k < param->n_when && used; k++)
		used = has_value(p, &param->when[k]);
	return used;
}

static double rounded(double x)
{
	char text[32];

	snprintf(text, sizeof(text), "%.4g", x);
	return strtod(text, NULL);
}

double space_number(const struct space_param *p, double u, double scale)
{
	double low = p->min, high = p->max;

	if (p->integer) { /* each whole number has as much room as it would with one more at the end */
		low -= 0.5;
		high += 0.5;
		if (p->log)
			low = fmax(low, 0.5);
	}
	double x = p->log ? exp(log(low) + u * (log(high) - log(low))) : low + u * (high - low);
	if (p->integer)
		return fmin(p->max, fmax(p->min, floor(x + 0.5)));
	return p->scaled ? rounded(x * scale) : fmin(p->max, fmax(p->min, rounded(x)));
}

const char *space_text(const struct space_param *p, const struct space_place *at, double scale, char out[32])
{
	if (!p->range)
		return p->values[at->choice];
	double x = space_number(p, at->u, scale);
	snprintf(out, 32, p->integer ? "%.0f" : "%.4g", x);
	if (strtod(out, NULL) != x) /* an end of the range that has more digits */
		snprintf(out, 32, "%.17g", x);
	return out;
}
