/* template_filters_lists: Jinja's filters of lists and dicts: of what can be gone through. */
#include "template/template_filters.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

static struct value as_list(const struct call *c)
{
	struct value list;
	struct err why = ERR_INIT;

	if (v_iterate(&c->r->mem, c->self, &list, &why) < 0)
		return run_fail(c->r, "%s", why.msg), v_list(&c->r->mem, V_LIST, 0);
	return list;
}

/* What Jinja's generators give; nothing for whatever is false. */
static struct value as_source(const struct call *c)
{
	return v_true(c->self) ? as_list(c) : v_list(&c->r->mem, V_LIST, 0);
}

static struct value lazy(const struct call *c, size_t cap)
{
	struct value list = v_list(&c->r->mem, V_LIST, cap);
	list.list->kind = LIST_GENERATOR;
	return list;
}

static struct value f_list(const struct call *c)
{
	struct value from = as_list(c), list = v_list(&c->r->mem, V_LIST, from.list->n);

	for (size_t i = 0; i < from.list->n; i++)
		v_push(&c->r->mem, list, from.list->items[i]);
	return list;
}

static struct value f_first(const struct call *c)
{
	if (c->self.type == V_STRING && c->self.str.n)
		return run_item(c->r, c->self, v_int(0));
	struct value list = as_list(c);
	return list.list->n ? list.list->items[0] : UNDEFINED("the first item of nothing");
}

static struct value f_last(const struct call *c)
{
	if (c->self.type == V_STRING && c->self.str.n)
		return run_item(c->r, c->self, v_int(-1));
	if (v_is_list(c->self) && c->self.list->kind == LIST_GENERATOR)
		return run_fail(c->r, "last: a generator has no end to begin at; list gives it one");
	struct value list = as_list(c);
	return list.list->n ? list.list->items[list.list->n - 1] : UNDEFINED("the last item of nothing");
}

static struct value f_reverse(const struct call *c)
{
	struct value from = as_list(c), list = lazy(c, from.list->n);
	struct buf out = RUN_TEXT(c->r);

	for (size_t i = from.list->n; i-- > 0;)
		v_push(&c->r->mem, list, from.list->items[i]);
	if (c->self.type != V_STRING)
		return list;
	for (size_t i = 0; i < list.list->n; i++)
		run_print(c->r, &out, list.list->items[i]);
	return run_take(c->r, &out);
}

/* a.b.0; what is undefined on the way is `init`, unless that is none. */
static struct value path_or(struct run_state *r, struct value v, struct value name, struct value init)
{
	if (name.type == V_NONE)
		return v;
	if (name.type == V_INT || name.type == V_BOOL) {
		v = run_item(r, v, name);
		return v.type == V_UNDEFINED && init.type != V_NONE ? init : v;
	}
	if (name.type != V_STRING)
		return run_fail(r, "an attribute's name is %s, a text was wanted", v_type_name(name));
	for (const char *s = name.str.s; !r->failed; s++) {
		size_t n = strcspn(s, "."), digits = strspn(s, "0123456789");
		v = run_item(r, v, n && digits == n ? v_int(strtol(s, NULL, 10)) : v_string(&r->mem, s, n));
		if (v.type == V_UNDEFINED && init.type != V_NONE)
			v = init;
		s += n;
		if (!*s)
			break;
	}
	return v;
}

static struct value path(struct run_state *r, struct value v, struct value name) { return path_or(r, v, name, NONE); }

static struct value f_attr(const struct call *c)
{
	struct value name = c->n ? c->args[0] : c->named[0];
	return c->self.type == V_DICT ? run_method(c->r, c->self, name.str.s) :
	                                run_attribute(c->r, c->self, name.str.s);
}

static struct value f_join(const struct call *c)
{
	struct value list = as_list(c), by = run_text(c->r, call_arg(c, 0, "d", v_text(""))),
		     attribute = call_arg(c, 1, "attribute", NONE);
	struct buf out = RUN_TEXT(c->r);

	for (size_t i = 0; i < list.list->n; i++) {
		buf_add(&out, by.str.s, i ? by.str.n : 0);
		run_print(c->r, &out,
		        attribute.type == V_NONE ? list.list->items[i] : path(c->r, list.list->items[i], attribute));
	}
	return run_take(c->r, &out);
}

static struct value f_map(const struct call *c)
{
	struct value from = as_source(c), list = lazy(c, from.list->n),
		     attribute = call_arg(c, SIZE_MAX, "attribute", NONE);
	struct value name = call_arg(c, 0, NULL, NONE),
		     init = call_arg(c, SIZE_MAX, "default", UNDEFINED("an attribute"));

	bool by_attribute = c->n == 0 && c->n_named && attribute.type != V_NONE;
	for (size_t k = 0; by_attribute && k < c->n_named; k++)
		if (strcmp(c->names[k], "attribute") != 0 && strcmp(c->names[k], "default") != 0)
			return run_fail(c->r, "map takes no argument '%.60s' beside attribute", c->names[k]);
	if (!by_attribute && name.type != V_STRING)
		return run_fail(c->r, "map wants a filter's name or attribute= alone");
	for (size_t i = 0; i < from.list->n && !c->r->failed; i++) {
		struct value v = from.list->items[i];
		v = by_attribute ? path(c->r, v, attribute) :
		                               run_filter(c, name.str.s, v, 1);
		v_push(&c->r->mem, list, by_attribute && v.type == V_UNDEFINED ? init : v);
	}
	return list;
}

/* Items for which a test holds; `attribute`: the first argument names what is tested. */
static struct value choose(const struct call *c, bool attribute, bool want)
{
	struct value from = as_source(c), list = lazy(c, from.list->n);
	size_t skip = attribute ? 1 : 0;
	struct value test = call_arg(c, skip, NULL, NONE);

	if (attribute && (!c->n || (c->args[0].type != V_STRING && c->args[0].type != V_INT)))
		return run_fail(c->r, "selectattr and rejectattr want an attribute's name");
	if (c->n > skip && test.type != V_STRING)
		return run_fail(c->r, "a test's name is %s, a text was wanted", v_type_name(test));
	if (c->n <= skip && c->n_named)
		return run_fail(c->r, "'%.60s' is an argument of no test", c->names[0]);
	for (size_t i = 0; i < from.list->n && !c->r->failed; i++) {
		struct value v = attribute ? path(c->r, from.list->items[i], c->args[0]) : from.list->items[i];
		bool holds = test.type == V_STRING ?
		                     run_test(c, test.str.s, v, skip + 1) :
		                     v_true(v);
		if (holds == want)
			v_push(&c->r->mem, list, from.list->items[i]);
	}
	return list;
}

static struct value f_select(const struct call *c) { return choose(c, false, true); }
static struct value f_reject(const struct call *c) { return choose(c, false, false); }
static struct value f_selectattr(const struct call *c) { return choose(c, true, true); }
static struct value f_rejectattr(const struct call *c) { return choose(c, true, false); }

static struct value sort_key(const struct call *c, struct value v, bool exact)
{
	return v.type == V_STRING && !exact ? filter_method(&(struct call){ .r = c->r, .self = v }, "lower") : v;
}

/* Key i of what is compared: the item or its attribute, texts in small letters unless case_sensitive. */
static struct value key_of(const struct call *c, struct value item, struct value attribute, struct value exact)
{
	return sort_key(c, attribute.type == V_NONE ? item : path(c->r, item, attribute), v_true(exact));
}

static struct value f_unique(const struct call *c)
{
	struct value from = as_list(c), list = lazy(c, from.list->n), keys = v_list(&c->r->mem, V_LIST, from.list->n);
	struct value exact = call_arg(c, 0, "case_sensitive", v_bool(false)),
		     attribute = call_arg(c, 1, "attribute", NONE);

	for (size_t i = 0; i < from.list->n && !c->r->failed; i++) {
		struct value key = key_of(c, from.list->items[i], attribute, exact);
		if (!v_hashable(key))
			return run_fail(c->r, "unique: a %s cannot be hashed", v_type_name(key));
		bool seen = false;
		for (size_t j = 0; j < keys.list->n && !seen && run_steps(c->r, 1 + v_weight(key) / 64); j++)
			seen = v_equal(keys.list->items[j], key);
		if (seen)
			continue;
		v_push(&c->r->mem, list, from.list->items[i]);
		v_push(&c->r->mem, keys, key);
	}
	return list;
}

/* Stable insertion sort: lists in templates are short; the run's steps bound it. */
void filter_sort(const struct call *c, struct value *items, const struct value *keys_of, size_t n, enum sort_order how)
{
	struct value *keys = arena_array(&c->r->mem, n + 1, sizeof(*keys));
	struct err why = ERR_INIT;

	if (n)
		memcpy(keys, keys_of, n * sizeof(*keys));
	for (size_t i = 1; i < n && !c->r->failed; i++) {
		struct value item = items[i], key = keys[i];
		size_t j = i;
		for (int order; j > 0 && run_steps(c->r, 1 + v_weight(key) / 64); j--) {
			bool ordered = v_order(keys[j - 1], key, &order, &why) == 0;
			if (!ordered && how != SORT_LOOSE) {
				run_fail(c->r, "sort: %s", why.msg);
				return;
			}
			if (!ordered)
				order = strcmp(v_type_name(keys[j - 1]), v_type_name(key));
			if (how == SORT_DOWN ? order >= 0 : order <= 0)
				break;
			items[j] = items[j - 1];
			keys[j] = keys[j - 1];
		}
		items[j] = item;
		keys[j] = key;
	}
}

/* The key of sort: an attribute may name several, with commas, of which a tuple is made. */
static struct value sort_keys(const struct call *c, struct value item, struct value attribute, bool exact)
{
	if (attribute.type != V_STRING || !memchr(attribute.str.s, ',', attribute.str.n))
		return key_of(c, item, attribute, v_bool(exact));
	struct value key = v_list(&c->r->mem, V_TUPLE, 2);
	for (const char *s = attribute.str.s;; s++) {
		size_t n = strcspn(s, ",");
		v_push(&c->r->mem, key, key_of(c, item, v_string(&c->r->mem, s, n), v_bool(exact)));
		s += n;
		if (!*s)
			return key;
	}
}

static struct value f_sort(const struct call *c)
{
	struct value list = f_list(c), attribute = call_arg(c, 2, "attribute", NONE);
	bool down = v_true(call_arg(c, 0, "reverse", v_bool(false))),
	     exact = v_true(call_arg(c, 1, "case_sensitive", v_bool(false)));
	struct value *keys = arena_array(&c->r->mem, list.list->n + 1, sizeof(*keys));

	for (size_t i = 0; i < list.list->n; i++)
		keys[i] = sort_keys(c, list.list->items[i], attribute, exact);
	filter_sort(c, list.list->items, keys, list.list->n, down ? SORT_DOWN : SORT_UP);
	return list;
}

static struct value f_items(const struct call *c)
{
	if (c->self.type == V_UNDEFINED)
		return lazy(c, 0);
	if (c->self.type != V_DICT)
		return run_fail(c->r, "items wants a dict, not %s", v_type_name(c->self));
	struct value list = template_method(c->self, "items")->call(&(struct call){ .r = c->r, .self = c->self });
	list.list->kind = LIST_GENERATOR;
	return list;
}

static struct value f_dictsort(const struct call *c)
{
	struct value list = f_items(c), by = call_arg(c, 1, "by", v_text("key"));
	bool exact = v_true(call_arg(c, 0, "case_sensitive", v_bool(false))),
	     down = v_true(call_arg(c, 2, "reverse", v_bool(false)));

	if (c->self.type == V_UNDEFINED)
		return run_undefined(c->r, c->self);
	if (!v_equal(by, v_text("key")) && !v_equal(by, v_text("value")))
		return run_fail(c->r, "dictsort: by is key or value");
	if (c->r->failed)
		return list;
	list = f_list(&(struct call){ .r = c->r, .self = list });
	struct value *keys = arena_array(&c->r->mem, list.list->n + 1, sizeof(*keys));
	for (size_t i = 0; i < list.list->n; i++)
		keys[i] = sort_key(c, list.list->items[i].list->items[v_equal(by, v_text("value"))], exact);
	filter_sort(c, list.list->items, keys, list.list->n, down ? SORT_DOWN : SORT_UP);
	return list;
}

static struct value f_sum(const struct call *c)
{
	struct value list = as_list(c), attribute = call_arg(c, 0, "attribute", NONE),
		     sum = call_arg(c, 1, "start", v_int(0));

	if (sum.type == V_STRING)
		return run_fail(c->r, "sum: texts are not summed, but joined");
	for (size_t i = 0; i < list.list->n; i++) {
		struct value v =
			attribute.type == V_NONE ? list.list->items[i] : path(c->r, list.list->items[i], attribute);
		if (!v_is_number(v) || !v_is_number(sum))
			return run_fail(c->r, "sum: %s is no number", v_type_name(v));
		if (v.type == V_FLOAT || sum.type == V_FLOAT)
			sum = v_float(v_number(v) + v_number(sum));
		else if (__builtin_add_overflow(filter_whole(v), filter_whole(sum), &sum.i))
			return run_fail(c->r, "a whole number grows too large");
		else
			sum.type = V_INT;
	}
	return sum;
}

static struct value extreme(const struct call *c, int sign)
{
	struct value list = as_list(c), attribute = call_arg(c, 1, "attribute", NONE),
		     exact = call_arg(c, 0, "case_sensitive", v_bool(false)),
		     best = UNDEFINED("the best of nothing"), best_key = NONE;
	struct err why = ERR_INIT;

	for (size_t i = 0; i < list.list->n; i++) {
		struct value key = key_of(c, list.list->items[i], attribute, exact);
		int order = -1;
		if (!run_charge(c->r, best_key, key))
			return best;
		if (i && v_order(best_key, key, &order, &why) < 0)
			return run_fail(c->r, "%s", why.msg);
		if (!i || order * sign < 0) {
			best = list.list->items[i];
			best_key = key;
		}
	}
	return best;
}

/* Rows of so many items, the last one filled up. */
static struct value f_batch(const struct call *c)
{
	struct value from = as_list(c), rows = lazy(c, 8), row = v_list(&c->r->mem, V_LIST, 8),
		     with = call_arg(c, 1, "fill_with", NONE);
	int64_t width = filter_whole(call_arg(c, 0, "linecount", NONE));

	for (size_t i = 0; i < from.list->n && run_steps(c->r, 1); i++) {
		if ((int64_t)row.list->n == width) {
			v_push(&c->r->mem, rows, row);
			row = v_list(&c->r->mem, V_LIST, 8);
		}
		v_push(&c->r->mem, row, from.list->items[i]);
	}
	while (row.list->n && with.type != V_NONE && (int64_t)row.list->n < width && run_steps(c->r, 1))
		v_push(&c->r->mem, row, with);
	if (row.list->n)
		v_push(&c->r->mem, rows, row);
	return rows;
}

/* So many columns, the first ones longer by one where it does not come out even, or the others filled up. */
static struct value f_slice(const struct call *c)
{
	struct value from = as_list(c), columns = lazy(c, 8), with = call_arg(c, 1, "fill_with", NONE);
	int64_t n = filter_whole(call_arg(c, 0, "slices", NONE)), size = (int64_t)from.list->n;
	size_t at = 0;

	if (n == 0)
		return run_fail(c->r, "slice: no columns");
	for (int64_t k = 0; k < n && run_steps(c->r, 1); k++) {
		struct value column = v_list(&c->r->mem, V_LIST, 8);
		for (int64_t i = 0; i < size / n + (k < size % n) && run_steps(c->r, 1); i++)
			v_push(&c->r->mem, column, from.list->items[at++]);
		if (with.type != V_NONE && k >= size % n)
			v_push(&c->r->mem, column, with);
		v_push(&c->r->mem, columns, column);
	}
	return columns;
}

/* (grouper, list) for each key, in order. */
static struct value f_groupby(const struct call *c)
{
	struct value list = f_list(c), groups = v_list(&c->r->mem, V_LIST, 8),
		     attribute = call_arg(c, 0, "attribute", NONE), init = call_arg(c, 1, "default", NONE), group;
	bool exact = v_true(call_arg(c, 2, "case_sensitive", v_bool(false)));
	struct value *keys = arena_array(&c->r->mem, list.list->n + 1, sizeof(*keys));

	for (size_t i = 0; i < list.list->n && !c->r->failed; i++)
		keys[i] = sort_key(c, path_or(c->r, list.list->items[i], attribute, init), exact);
	filter_sort(c, list.list->items, keys, list.list->n, SORT_UP);
	filter_sort(c, keys, keys, list.list->n, SORT_UP);
	for (size_t i = 0; i < list.list->n && !c->r->failed && run_charge(c->r, keys[i], keys[i]); i++) {
		if (!i || !v_equal(keys[i], keys[i - 1])) {
			struct value pair = v_list(&c->r->mem, V_TUPLE, 2);
			group = v_list(&c->r->mem, V_LIST, 8);
			pair.list->group = true;
			v_push(&c->r->mem, pair, path_or(c->r, list.list->items[i], attribute, init));
			v_push(&c->r->mem, pair, group);
			v_push(&c->r->mem, groups, pair);
		}
		v_push(&c->r->mem, group, list.list->items[i]);
	}
	return groups;
}

/* Any of them: another one at each call, the same ones in every run. */
static struct value f_random(const struct call *c)
{
	static const struct rng_key key = { .purpose = RNG_SAMPLE };
	struct err why = ERR_INIT;
	uint32_t words[4];
	size_t n;

	if (v_length(c->self, &n, &why) < 0)
		return run_fail(c->r, "random: %s", why.msg);
	if (n && !v_is_sequence(c->self))
		return run_fail(c->r, "random: %s has no items by number", v_type_name(c->self));
	rng_words(key, c->r->drawn++, 0, 0, words);
	return n ? run_item(c->r, c->self, v_int((int64_t)(words[0] % n))) : UNDEFINED("an item of nothing");
}

static struct value f_max(const struct call *c) { return extreme(c, 1); }
static struct value f_min(const struct call *c) { return extreme(c, -1); }

const struct function filters_of_lists[] = {
	{ "list", f_list, NULL },
	{ "first", f_first, NULL },
	{ "last", f_last, NULL },
	{ "reverse", f_reverse, NULL },
	{ "join", f_join, "d:a? attribute:nsi?" },
	{ "map", f_map, "* **" },
	{ "select", f_select, "* **" },
	{ "reject", f_reject, "* **" },
	{ "selectattr", f_selectattr, "* **" },
	{ "rejectattr", f_rejectattr, "* **" },
	{ "unique", f_unique, "case_sensitive:a? attribute:nsi?" },
	{ "sort", f_sort, "reverse:i? case_sensitive:a? attribute:nsi?" },
	{ "items", f_items, NULL },
	{ "dictsort", f_dictsort, "case_sensitive:a? by:s? reverse:i?" },
	{ "sum", f_sum, "attribute:nsi? start:a?" },
	{ "min", f_min, "case_sensitive:a? attribute:nsi?" },
	{ "max", f_max, "case_sensitive:a? attribute:nsi?" },
	{ "attr", f_attr, "name:s" },
	{ "batch", f_batch, "linecount:i fill_with:a?" },
	{ "groupby", f_groupby, "attribute:sia default:a? case_sensitive:a?" },
	{ "random", f_random, NULL },
	{ "slice", f_slice, "slices:i fill_with:a?" },
	{ 0 },
};
