/* template_tests: what stands behind "is" in a template. */
#include "template/template_filters.h"

#include "base/mem.h"

static struct value t_defined(const struct call *c) { return v_bool(c->self.type != V_UNDEFINED); }
static struct value t_undefined(const struct call *c) { return v_bool(c->self.type == V_UNDEFINED); }
static struct value t_none(const struct call *c) { return v_bool(c->self.type == V_NONE); }
static struct value t_boolean(const struct call *c) { return v_bool(c->self.type == V_BOOL); }
static struct value t_true(const struct call *c) { return v_bool(c->self.type == V_BOOL && c->self.b); }
static struct value t_false(const struct call *c) { return v_bool(c->self.type == V_BOOL && !c->self.b); }
static struct value t_integer(const struct call *c) { return v_bool(c->self.type == V_INT); }
static struct value t_float(const struct call *c) { return v_bool(c->self.type == V_FLOAT); }
static struct value t_number(const struct call *c) { return v_bool(v_is_number(c->self)); }
static struct value t_string(const struct call *c) { return v_bool(c->self.type == V_STRING); }
static struct value t_mapping(const struct call *c) { return v_bool(c->self.type == V_DICT); }
static struct value t_iterable(const struct call *c)
{
	return v_bool(c->self.type == V_STRING || v_is_list(c->self) || c->self.type == V_DICT ||
	              c->self.type == V_UNDEFINED);
}
static struct value t_sequence(const struct call *c)
{
	return v_bool(c->self.type == V_STRING || v_is_plain(c->self) ||
	              (c->self.type == V_LIST && c->self.list->kind == LIST_RANGE) || c->self.type == V_DICT ||
	              c->self.type == V_UNDEFINED);
}
static bool is_called(struct value v) { return v.type >= V_MACRO || v.type == V_UNDEFINED; } /* as Jinja has it */
static struct value t_callable(const struct call *c) { return v_bool(is_called(c->self)); }

static struct value t_sameas(const struct call *c)
{
	struct value other = call_arg(c, 0, "other", NONE);

	if (c->self.type != other.type || c->self.type == V_UNDEFINED)
		return v_bool(false);
	if (c->self.type == V_LIST || c->self.type == V_DICT)
		return v_bool(v_is_list(c->self) ? c->self.list == other.list : c->self.dict == other.dict);
	return v_bool(run_charge(c->r, c->self, other) && v_equal(c->self, other));
}

static bool is_equal(const struct call *c)
{
	struct value other = call_arg(c, 0, NULL, NONE);
	return run_charge(c->r, c->self, other) && v_equal(c->self, other);
}

static struct value t_eq(const struct call *c) { return v_bool(is_equal(c)); }
static struct value t_ne(const struct call *c) { return v_bool(!is_equal(c)); }

static int order_of(const struct call *c)
{
	struct value other = call_arg(c, 0, NULL, NONE);
	struct err why = ERR_INIT;
	int order = 0;

	if (run_charge(c->r, c->self, other) && v_order(c->self, other, &order, &why) < 0)
		run_fail(c->r, "%s", why.msg);
	return order;
}

static struct value t_lt(const struct call *c) { return v_bool(order_of(c) < 0); }
static struct value t_le(const struct call *c) { return v_bool(order_of(c) <= 0); }
static struct value t_gt(const struct call *c) { return v_bool(order_of(c) > 0); }
static struct value t_ge(const struct call *c) { return v_bool(order_of(c) >= 0); }

static struct value t_in(const struct call *c)
{
	return v_bool(run_holds(c->r, "in", c->self, call_arg(c, 0, "seq", NONE)));
}

static struct value remainder_is(const struct call *c, struct value by, int64_t want)
{
	if (!v_is_number(c->self))
		return run_fail(c->r, "a number was wanted, not %s", v_type_name(c->self));
	return v_bool(v_equal(run_binary(c->r, "%", c->self, by), v_int(want)));
}

static struct value t_odd(const struct call *c) { return remainder_is(c, v_int(2), 1); }
static struct value t_even(const struct call *c) { return remainder_is(c, v_int(2), 0); }
static struct value t_divisibleby(const struct call *c) { return remainder_is(c, call_arg(c, 0, "num", NONE), 0); }
static struct value t_escaped(const struct call *c) { return v_bool(c->self.type == V_STRING && c->self.safe); }

static struct value t_lower(const struct call *c) { return filter_method(c, "islower"); }
static struct value t_upper(const struct call *c) { return filter_method(c, "isupper"); }

static const struct function tests[] = {
	{ "defined", t_defined, NULL },
	{ "undefined", t_undefined, NULL },
	{ "none", t_none, NULL },
	{ "boolean", t_boolean, NULL },
	{ "true", t_true, NULL },
	{ "false", t_false, NULL },
	{ "integer", t_integer, NULL },
	{ "float", t_float, NULL },
	{ "number", t_number, NULL },
	{ "string", t_string, NULL },
	{ "mapping", t_mapping, NULL },
	{ "iterable", t_iterable, NULL },
	{ "sequence", t_sequence, NULL },
	{ "callable", t_callable, NULL },
	{ "sameas", t_sameas, "other:a" },
	{ "eq", t_eq, "/other:a" },
	{ "equalto", t_eq, "/other:a" },
	{ "ne", t_ne, "/other:a" },
	{ "lt", t_lt, "/other:a" },
	{ "lessthan", t_lt, "/other:a" },
	{ "le", t_le, "/other:a" },
	{ "gt", t_gt, "/other:a" },
	{ "greaterthan", t_gt, "/other:a" },
	{ "ge", t_ge, "/other:a" },
	{ "in", t_in, "seq:a" },
	{ "odd", t_odd, NULL },
	{ "even", t_even, NULL },
	{ "divisibleby", t_divisibleby, "num:if" },
	{ "lower", t_lower, NULL },
	{ "upper", t_upper, NULL },
	{ "escaped", t_escaped, NULL },
	{ "==", t_eq, "/other:a" },
	{ "!=", t_ne, "/other:a" },
	{ "<", t_lt, "/other:a" },
	{ "<=", t_le, "/other:a" },
	{ ">", t_gt, "/other:a" },
	{ ">=", t_ge, "/other:a" },
};

const struct function *template_test(const char *name) { return run_look_up(tests, ARRAY_LEN(tests), name); }
